"""The router: picks the growth for each prompt, and answers with it."""
