/* A library that is looked for. */
int plugin_answer(void);
int plugin_answer(void) { return 42; }
