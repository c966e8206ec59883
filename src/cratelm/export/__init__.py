"""Records as the files of other projects."""
