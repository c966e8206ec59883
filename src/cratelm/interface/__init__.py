"""The Python interface: what `import cratelm` gives. Every object here is a thin layer over a room below."""
