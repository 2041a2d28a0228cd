"""The event engine: arrays in, arrays out; it knows queue, placement and time, and no policy's name."""
