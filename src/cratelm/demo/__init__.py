"""The study that comes with the package: how it is packed, and where it is unpacked."""
