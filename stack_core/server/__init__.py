"""The HTTP server: an application built from the declared routes, and the process that serves it."""
