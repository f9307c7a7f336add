// What has to do with files, with an unwilling kernel at every call: control page, group, profile, and what is asked of
// /proc. Each says that it failed, or works; no descriptor stays open, and what is left in the directory is gone once
// the same is done undisturbed.
#include <dirent.h>

#include <fstream>
#include <sstream>

#include "capacity/group.hpp"
#include "engine.hpp"
#include "engine/backtrace.hpp"
#include "observe/page_file.hpp"
#include "observe/profile.hpp"
#include "os/cgroup.hpp"
#include "os/os.hpp"
#include "os/process_mark.hpp"
#include "sweep.hpp"
#include "temporary.hpp"

namespace {

using namespace stealth;
using test::Fault;

class InjectFiles : public testing::Test {
 protected:
  [[nodiscard]] char const* root() const { return directory_.path().c_str(); }
  [[nodiscard]] std::string folder() const { return directory_ / ("stealth-" + std::to_string(geteuid())); }
  // Names in the user's folder, but for the two that are always there.
  [[nodiscard]] std::string left() const {
    std::string names;
    DIR* const open = opendir(folder().c_str());
    if (open == nullptr) return names;
    for (dirent const* one = readdir(open); one != nullptr; one = readdir(open)) {
      if (one->d_name[0] != '.') names += std::string(one->d_name) + " ";
    }
    closedir(open);
    return names;
  }

  test::TemporaryDirectory directory_;
};

bool use_page(char const* root, bool must) {
  using namespace observe;
  PageFile page;
  bool const made = page.make("program", "1", root) == PageFile::Made::fine;
  EXPECT_TRUE(made || !must);
  if (!made) {
    EXPECT_FALSE(page.is_good());
    return false;
  }
  auto const snapshot = std::make_unique<Snapshot>();
  snapshot->begun = snapshot->ended = 1;
  bool good = page.is_in_place() && page.put_snapshot(*snapshot);
  std::uint32_t number = 0;
  auto const wish = std::make_unique<Wish>();
  good = page.read_wish_number(number) && page.read_wish(*wish) && page.put_answer({}) && good;
  page.ring();
  static_cast<void>(page.rest_at_bell(1000, []() noexcept { return true; }));
  EXPECT_TRUE(good || !must);
  page.remove();
  page.forget_in_child();
  return good;
}

TEST_F(InjectFiles, ControlPage) {
  int descriptors = 0;
  test::sweep([&] { descriptors = test::open_descriptors(); },
              [&](Fault const& fault) { static_cast<void>(use_page(root(), fault.must_not_matter())); },
              [&](Fault const&) {
                use_page(root(), true);
                EXPECT_EQ(left(), "");
                EXPECT_EQ(test::open_descriptors(), descriptors) << "left open";
                rmdir(folder().c_str());
              });
}

void use_group(char const* root, bool must) {
  Group group(root);
  bool const joined = group.join("web", 100 * kMiB) != Group::Joined::failed;
  EXPECT_TRUE(joined || !must) << group.problem();
  EXPECT_EQ(joined, group.joined());
  if (!joined) {
    EXPECT_NE(group.problem(), "");
    return;
  }
  group.charge(5 * kMiB);  // looks after the group, too
  if (group.joined()) {
    EXPECT_EQ(group.share(), 5 * kMiB);
    EXPECT_LE(group.used(), 5 * kMiB);
  }
  std::string const path(group.path());
  std::rename(path.c_str(), (path + ".gone").c_str());
  std::remove((path + ".gone").c_str());
  group.after_fork_in_child();  // its next charge looks again, and finds the file replaced
  group.charge(kMiB);
  EXPECT_TRUE(group.joined() || !must) << group.problem();
  if (group.joined()) {
    EXPECT_EQ(group.share(), kMiB);
    EXPECT_EQ(group.release(kMiB), 0u);
    EXPECT_EQ(group.share(), 0u);
  }
  group.leave();
  EXPECT_EQ(group.used(), 0u);
}

TEST_F(InjectFiles, Group) {
  int descriptors = 0;
  test::sweep(
      [&] {
        fake::capture(2);
        descriptors = test::open_descriptors();
      },
      [&](Fault const& fault) { use_group(root(), fault.must_not_matter()); },
      [&](Fault const&) {
        use_group(root(), true);
        EXPECT_EQ(left(), "");
        EXPECT_EQ(test::open_descriptors(), descriptors) << "left open";
        rmdir(folder().c_str());
      });
}

char g_library[16];
int unwind(void** into, int) noexcept {
  into[0] = reinterpret_cast<void*>(0x1234000);
  return 1;
}

void use_profile(std::string const& path, bool must) {
  namespace profile = observe::profile;
  tell_stacks_by(unwind, {g_library, g_library + 1});
  bool const begun = profile::begin(1);
  EXPECT_TRUE(begun || !must);
  std::vector<void*> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(allocate(100));
  if (begun) {
    EXPECT_GE(profile::live_samples(), 1u);
    int const error = profile::dump(profile::What::heap, path.c_str());
    EXPECT_TRUE(error == 0 || !must) << error;
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (error == 0) {
      EXPECT_NE(text.str().find("heap profile: "), std::string::npos);
      EXPECT_NE(text.str().find(" @ 0x1234000\n"), std::string::npos);
      EXPECT_NE(text.str().find("MAPPED_LIBRARIES:"), std::string::npos);
    }
    std::remove(path.c_str());
    static_cast<void>(profile::dump_into_new(profile::What::stalls, path.c_str()));
    std::remove(path.c_str());
    char room[2000];
    Text top(room, sizeof room);
    profile::write_top(top, 3);
  }
  for (void* const p : blocks) deallocate(p);
  EXPECT_EQ(profile::live_samples(), 0u);
  profile::end();
}

TEST_F(InjectFiles, Profile) {
  int descriptors = 0;
  std::string const path = directory_ / "heap";
  test::sweep(
      [&] {
        descriptors = test::open_descriptors();
        ASSERT_TRUE(test::start_engine({.reservation = kGiB}));
        deallocate(allocate(100));
      },
      [&](Fault const& fault) { use_profile(path, fault.must_not_matter()); },
      [&](Fault const&) {
        use_profile(path, true);
        EXPECT_TRUE(engine_is_valid());
        EXPECT_EQ(test::open_descriptors(), descriptors) << "left open";
      });
}

// Whoever cannot look gets the answer that says so, and nothing half-read.
TEST_F(InjectFiles, Questions) {
  int descriptors = 0;
  auto const ask = [](bool must) {
    os::Footprint const now = os::footprint();
    EXPECT_TRUE(now.mapped >= now.resident && (now.resident != 0 || !must));
    EXPECT_TRUE(os::physical_memory() > kMiB);
    EXPECT_TRUE(os::address_space_left() > kMiB || !must);
    EXPECT_TRUE(os::cgroup_limit() > kMiB);
    os::CgroupMemory memory;
    os::CgroupMemory::Reading reading{};
    if (memory.find() && memory.read(reading)) {
      EXPECT_GE(reading.limit, kMiB);
    }
    os::ProcessMark const own = os::ProcessMark::own();
    EXPECT_EQ(own.number(), getpid());
    EXPECT_TRUE(own.start() != 0 || !must);
    EXPECT_NE(own.life(own), os::Life::ended) << "we do live";
    EXPECT_TRUE(os::ProcessWorld::own().boot != 0 || !must);
    EXPECT_TRUE(os::acts_as_first_thread());
    static_cast<void>(os::may_be_filtered());
    static_cast<void>(os::is_open_to_its_user());
    static_cast<void>(os::barrier_in_all_threads());
    EXPECT_TRUE(os::thread_exists(os::thread_id()));
    int names = 0;
    bool const read = os::for_each_name("/proc/self/fd", &names,
                                        [](void* count, std::string_view) noexcept { ++*static_cast<int*>(count); });
    EXPECT_TRUE((read && names > 3) || !must);
  };
  test::sweep([&] { descriptors = test::open_descriptors(); },
              [&](Fault const& fault) { ask(fault.must_not_matter()); },
              [&](Fault const&) {
                ask(true);
                EXPECT_EQ(test::open_descriptors(), descriptors) << "left open";
              });
}

}  // namespace
