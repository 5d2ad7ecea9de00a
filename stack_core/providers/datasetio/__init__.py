"""Providers of the rows of data sets."""
