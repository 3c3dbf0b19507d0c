"""Trees and lists of images on disk, as entries to pack."""
