/* A library that somebody else preloads; it does nothing. */
int harmless(void);
int harmless(void) { return 0; }
