// wrong_door NUMBER: memory that came by one door leaves by another.
#include <new>

#include "../fault.h"

struct Small {
  char bytes[24];
};
struct Large {
  char bytes[100];
};

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  void* block = nullptr;
  auto const given = [&block](void* p) {
    accuse(p);
    return block = p;
  };
  switch (atoi(argv[1])) {
    case 0:
      free(given(::operator new(24)));
      break;
    case 1:
      ::operator delete(given(malloc(24)));
      break;
    case 2:
      ::operator delete(given(::operator new[](24)));
      break;
    case 3:
      ::operator delete[](given(::operator new(24)));
      break;
    case 4:
      ::operator delete(given(::operator new(sizeof(Small))), sizeof(Large));
      break;
    case 5:
      ::operator delete[](given(::operator new[](100000)), std::size_t{100001});
      break;
    case 6:
      ::operator delete (given(::operator new(24)), std::align_val_t{4096});
      break;
    default:
      ::operator delete (given(::operator new (48, std::align_val_t{64})), 24, std::align_val_t{64});
      break;
  }
  return 0;
}
