"""Put a policy in charge of a real cluster: backends, the controller, and answers about the live queue."""
