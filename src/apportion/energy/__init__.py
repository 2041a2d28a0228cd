"""Power, and what switching it off saves."""
