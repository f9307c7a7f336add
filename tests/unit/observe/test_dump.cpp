// A profile as text: to the letter what google-pprof reads, and no silence where it could not be written.
#include <gtest/gtest.h>
#include <link.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "engine/backtrace.hpp"
#include "fake_sys.hpp"
#include "observe/dump.hpp"
#include "os/os.hpp"
#include "temporary.hpp"

namespace {

namespace fake = stealth::fake;
using stealth::kMostFrames;
using stealth::observe::DumpFile;
using stealth::observe::Stack;

class Dump : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(stealth::test::open_descriptors(), descriptors_) << "left open"; }
  [[nodiscard]] std::string text() const {
    std::ifstream file(path_);
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
  }
  static Stack stack(std::uint64_t live, std::uint64_t live_bytes, std::uint64_t all, std::uint64_t all_bytes) {
    Stack made = {};
    made.live = live;
    made.live_bytes = live_bytes;
    made.all = all;
    made.all_bytes = all_bytes;
    return made;
  }

  fake::Fresh fresh_;
  stealth::test::TemporaryDirectory directory_;
  std::string path_ = directory_ / "profile";
  int descriptors_ = stealth::test::open_descriptors();
};

TEST_F(Dump, AHeapProfile) {
  void* const frames[] = {reinterpret_cast<void*>(0x401000), reinterpret_cast<void*>(0x7f0012345678)};
  {
    DumpFile file(stealth::os::create_file(path_.c_str()));
    ASSERT_EQ(file.error(), 0);
    file.begin_heap(stack(3, 300, 5, 500), 524288);
    Stack one = stack(2, 200, 4, 400);
    one.depth = 2;
    file.add_heap(one, frames);
    file.add_heap(stack(1, 100, 1, 100), nullptr);  // those without a stack
    file.add_heap(stack(0, 0, 0, 0), frames);       // only waited
    EXPECT_EQ(file.finish(), 0);
  }
  EXPECT_EQ(text(),
            "heap profile: 3: 300 [5: 500] @ heap_v2/524288\n"
            " 2: 200 [4: 400] @ 0x401000 0x7f0012345678\n"
            " 1: 100 [1: 100] @\n");
  struct stat facts {};
  ASSERT_EQ(stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
}

TEST_F(Dump, AContentionProfile) {
  void* const frames[] = {reinterpret_cast<void*>(0x401000)};
  DumpFile file(stealth::os::create_file(path_.c_str()));
  ASSERT_EQ(file.error(), 0);
  file.begin_stalls();
  Stack one = {};
  one.depth = 1;
  one.stalls = 7;
  one.stalled_ns = 1'234'567;
  file.add_stalls(one, frames);
  file.add_stalls(stack(1, 100, 1, 100), frames);  // never waited
  EXPECT_EQ(file.finish(), 0);
  EXPECT_EQ(text(), "--- contention:\ncycles/second = 1000000000\nsampling period = 1\n1234567 7 @ 0x401000\n");
}

// Far more than fits into memory at once, the largest numbers and the deepest stacks.
TEST_F(Dump, ManyStacks) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  void* frames[kMostFrames];
  for (void*& frame : frames) frame = reinterpret_cast<void*>(~std::uintptr_t{0});
  std::string expected = "--- contention:\ncycles/second = 1000000000\nsampling period = 1\n";
  std::string line = std::to_string(kMost) + " " + std::to_string(kMost) + " @";
  for (std::size_t i = 0; i < kMostFrames; ++i) line += " 0xffffffffffffffff";
  DumpFile file(stealth::os::create_file(path_.c_str()));
  ASSERT_EQ(file.error(), 0);
  fake::move_at_most(1000);
  file.begin_stalls();
  Stack one = {};
  one.depth = kMostFrames;
  one.stalls = one.stalled_ns = kMost;
  for (int i = 0; i < 100; ++i) {
    file.add_stalls(one, frames);
    expected += line + "\n";
  }
  EXPECT_EQ(file.finish(), 0);
  EXPECT_EQ(text(), expected);
}

TEST_F(Dump, AFailingWriteIsTold) {
  for (std::uint64_t const nth : {1U, 2U, 3U}) {
    DumpFile file(stealth::os::create_file(path_.c_str()));
    ASSERT_EQ(file.error(), 0);
    fake::fail(SYS_write, nth, ENOSPC);
    file.begin_heap(stack(1, 1, 1, 1), 1);
    for (int i = 0; i < 200; ++i) file.add_heap(stack(1, 1, 1, 1), nullptr);
    file.add_mappings();
    EXPECT_NE(file.finish(), 0) << nth;
    fake::stop_failing(SYS_write);
  }
}

TEST_F(Dump, WhereItCannotBe) {
  DumpFile file(stealth::os::create_file((directory_ / "no/such").c_str()));
  EXPECT_EQ(file.error(), ENOENT);
  EXPECT_EQ(DumpFile(stealth::os::create_file(directory_.path().c_str())).error(), EISDIR);
  ASSERT_EQ(symlink("/tmp", (directory_ / "link").c_str()), 0);
  EXPECT_EQ(DumpFile(stealth::os::create_file((directory_ / "link").c_str())).error(), ELOOP);
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(DumpFile(stealth::os::create_file((directory_ / "pipe").c_str())).error(), ENXIO);
}

// The test program's own, by the loader's word; empty: it has none.
std::string own_build_id() {
  std::string id;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* into) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          ElfW(Phdr) const& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_NOTE) continue;
          auto const* at = reinterpret_cast<char const*>(info->dlpi_addr + segment.p_vaddr);
          for (char const* const end = at + segment.p_memsz; at < end;) {
            ElfW(Nhdr) note;
            std::memcpy(&note, at, sizeof note);
            char const* const value = at + sizeof note + (note.n_namesz + 3) / 4 * 4;
            for (std::size_t k = 0; note.n_type == NT_GNU_BUILD_ID && k < note.n_descsz; ++k) {
              char digits[3];
              snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(value[k]));
              *static_cast<std::string*>(into) += digits;
            }
            at = value + (note.n_descsz + 3) / 4 * 4;
          }
        }
        return 1;  // the first is the program
      },
      &id);
  return id;
}

TEST_F(Dump, MappingsAndBuildIds) {
  char own[512] = {};
  ASSERT_GT(readlink("/proc/self/exe", own, sizeof own - 1), 0);
  for (std::size_t const piece : {0U, 7U, 100U, 2047U}) {  // however /proc is read
    DumpFile file(stealth::os::create_file(path_.c_str()));
    ASSERT_EQ(file.error(), 0);
    fake::move_at_most(piece);
    file.add_mappings();
    EXPECT_EQ(file.finish(), 0);
    fake::move_at_most(0);
    std::string const dumped = text();
    EXPECT_EQ(dumped.find("\nMAPPED_LIBRARIES:\n"), 0u);
    EXPECT_NE(dumped.find("[stack]\n"), std::string::npos);
    std::string const id = own_build_id();
    if (!id.empty()) {
      std::string const line = "build-id: " + id + " " + own + "\n";
      EXPECT_NE(dumped.find(line), std::string::npos) << line << "by pieces of " << piece;
      EXPECT_EQ(dumped.find(line), dumped.rfind(line)) << "twice";
    }
  }
}

// What stands in /proc is believed by nobody: no mapping that is not there is touched.
TEST_F(Dump, OddMappings) {
  std::string const maps = "\nnonsense\n-\n1-2\n0-ffffffffffffffff r--p 00000000 00:00 1 /x\n" +
                           std::string(5000, 'a') + "\n00001000-00002000 r--p 00000000 08:01 77 /no/such\n" +
                           "00001000-00002000 ---p 00000000 08:01 77 " + std::string(4000, '/') + "\n12345-";
  fake::serve("/proc/self/maps", maps);
  DumpFile file(stealth::os::create_file(path_.c_str()));
  ASSERT_EQ(file.error(), 0);
  file.add_mappings();
  EXPECT_EQ(file.finish(), 0);
  EXPECT_EQ(text(), "\nMAPPED_LIBRARIES:\n" + maps);
  EXPECT_EQ(fake::open_files(), 0u);
}

TEST_F(Dump, NoMappings) {
  DumpFile file(stealth::os::create_file(path_.c_str()));
  ASSERT_EQ(file.error(), 0);
  fake::serve_nothing_else();
  file.add_mappings();
  EXPECT_EQ(file.finish(), 0);
  EXPECT_EQ(text(), "\nMAPPED_LIBRARIES:\n");
}

}  // namespace
