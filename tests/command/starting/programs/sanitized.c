/* Has the mark of a program that was built with AddressSanitizer. */
void __asan_init(void);
void __asan_init(void) {}

int main(void) { return 0; }
