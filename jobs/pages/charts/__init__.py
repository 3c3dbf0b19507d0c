"""Where everything of a chart lies, in pixels; the template draws it."""
