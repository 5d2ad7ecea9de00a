"""An API of a third party, with a provider of it."""
