"""The neurons in a browser: read them, test them, steer with them."""
