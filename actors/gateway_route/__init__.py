"""Stage 6: HTTP request -> match -> authenticate -> admit -> backend -> answer."""
