"""Small codecs of our own for the three protocols, so that tests see bytes that no client library has polished."""
