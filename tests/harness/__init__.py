"""Starts, stops and kills the servers under test, and runs the clients that nobody here wrote."""
