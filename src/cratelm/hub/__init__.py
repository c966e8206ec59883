"""Repositories of the hub: what of a folder is sent there, with which card, and how it comes back."""
