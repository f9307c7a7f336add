/* A library that loads others by names that mean its own run path, or its own place. */
#include <dlfcn.h>

void* host_opens(char const* name);
void* host_opens(char const* name) {
  void* volatile library = dlopen(name, RTLD_NOW | RTLD_LOCAL); /* by a call: a jump would come from its own caller */
  return library;
}
