"""The commands, a module each: what the command line says, turned into calls."""
