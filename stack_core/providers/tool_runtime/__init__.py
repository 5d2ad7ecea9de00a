"""Providers of tools."""
