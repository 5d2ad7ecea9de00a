"""Providers of responses."""
