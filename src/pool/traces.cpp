// See traces.hpp.
#include "pool/traces.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <sys/auxv.h>

#include <new>

#include "base/report.hpp"
#include "base/units.hpp"
#include "os/os.hpp"
#include "pool/region.hpp"

namespace stealth {

namespace {

constexpr int kOwnFrames = 1;  // capture() itself

// Null where it lies in no library, nor in the program.
void const* module_of(void const* address, Dl_info& info) {
  return ::dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fbase : nullptr;
}

// As addr2line and gdb take it: an offset into the file, or the address itself where the program is not relocated.
std::uint64_t offset_in(Dl_info const& info, void const* address) {
  auto const* const header = static_cast<ElfW(Ehdr) const*>(info.dli_fbase);
  auto const at = reinterpret_cast<std::uintptr_t>(address);
  return header->e_type == ET_EXEC ? at : at - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
}

void add_call(Text& line, void const* return_address) {
  void const* const call = static_cast<char const*>(return_address) - 1;  // what follows it may be the next function
  Dl_info info;
  if (module_of(call, info) == nullptr) {
    line << hex(call);
    return;
  }
  std::string_view name = info.dli_fname;
  name.remove_prefix(name.rfind('/') + 1);  // none: npos + 1 is 0
  line << name << '+' << Hex{offset_in(info, call)};
  if (info.dli_sname != nullptr) line << " (" << info.dli_sname << ')';
}

// The first call that is not ours. Where we are linked into the program ours cannot be told from its.
std::uint32_t first_foreign(Stack const& stack) {
  Dl_info info;
  void const* const own = module_of(reinterpret_cast<void const*>(&add_call), info);
  auto const entry = static_cast<std::uintptr_t>(::getauxval(AT_ENTRY));
  if (own == module_of(reinterpret_cast<void const*>(entry), info)) return 0;
  std::uint32_t first = 0;
  while (first < stack.depth && module_of(stack.calls[first], info) == own) ++first;
  return first == stack.depth ? 0 : first;
}

}  // namespace

__attribute__((noinline)) void Stack::capture() noexcept {
  void* all[kMost + kOwnFrames];
  int const found = ::backtrace(all, static_cast<int>(kMost) + kOwnFrames);
  depth = found > kOwnFrames ? static_cast<std::uint32_t>(found - kOwnFrames) : 0;
  hash = depth;
  for (std::uint32_t i = 0; i < depth; ++i) {
    calls[i] = all[i + kOwnFrames];
    hash = hash * 31 + static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(calls[i]));
  }
}

bool Stack::operator==(Stack const& other) const noexcept {
  if (hash != other.hash || depth != other.depth) return false;
  for (std::uint32_t i = 0; i < depth; ++i) {
    if (calls[i] != other.calls[i]) return false;
  }
  return true;
}

void TraceSummary::tell(std::string_view what, std::uint32_t every) const noexcept {
  std::uint32_t told = 0;
  for (std::uint32_t n = 0; n < used; ++n) {
    Stack const& stack = places[n].stack;
    Line line;
    line << what << " that did not come back: " << places[n].count << " of those traced (one get in " << every
         << ") taken by ";
    std::uint32_t const first = first_foreign(stack);
    for (std::uint32_t i = first; i < stack.depth; ++i) {
      if (i != first) line << " < ";
      add_call(line, stack.calls[i]);
    }
    report(line.view());
    told += places[n].count;
  }
  if (told < total) report(what, " that did not come back: ", total - told, " more of those traced, taken elsewhere");
}

Traces* Traces::make() noexcept {
  void* const memory = os::map(align_up(sizeof(Traces), os::page_size()));
  if (memory == nullptr) return nullptr;
  after_mapping();
  void* one = nullptr;
  static_cast<void>(::backtrace(&one, 1));  // loads the unwinder, which allocates
  return new (memory) Traces;               // fresh memory is zero, and stays untouched
}

void Traces::end() noexcept {
  before_unmapping();
  os::unmap(this, align_up(sizeof(Traces), os::page_size()));
}

void Traces::remember(void const* what, Stack const& stack) noexcept {
  Entry* const set = set_of(what);
  Entry* chosen = set;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->what == nullptr) {
      chosen = entry;
      break;
    }
    if (entry->age < chosen->age) chosen = entry;
  }
  chosen->what = what;
  chosen->stack = stack;
  chosen->age = ++remembered_;
}

void Traces::forget(void const* what) noexcept {
  Entry* const set = set_of(what);
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->what == what) entry->what = nullptr;
  }
}

void Traces::summarize(TraceSummary& into) const noexcept {
  into.used = into.total = 0;
  constexpr std::uint32_t kAll = kSets * kWays;
  bool counted[kAll] = {};
  for (std::uint32_t i = 0; i < kAll; ++i) {
    if (entries_[i].what == nullptr || counted[i]) continue;
    Stack const& stack = entries_[i].stack;
    std::uint32_t count = 0;
    for (std::uint32_t k = i; k < kAll; ++k) {
      if (entries_[k].what == nullptr || counted[k] || !(entries_[k].stack == stack)) continue;
      counted[k] = true;
      ++count;
    }
    into.total += count;
    // The most frequent first; what falls off the end is only in the sum.
    if (into.used < TraceSummary::kMost) {
      ++into.used;
    } else if (into.places[into.used - 1].count >= count) {
      continue;
    }
    std::uint32_t at = into.used - 1;
    for (; at > 0 && into.places[at - 1].count < count; --at) into.places[at] = into.places[at - 1];
    into.places[at] = {stack, count};
  }
}

}  // namespace stealth
