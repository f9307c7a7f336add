// See page_file.hpp.
#include "observe/page_file.hpp"

#include <cstring>

#include "base/report.hpp"
#include "base/text.hpp"
#include "os/os.hpp"

namespace stealth::observe {

namespace {

constexpr std::string_view kPrefix = "page-";
// A draft has its name for less than a millisecond. One that nobody has written to for so long is a dead process's, or
// that of one that was stopped just there, which then tries again.
constexpr std::uint64_t kDraftNs = 60'000'000'000;
constexpr int kMostSwept = 64;  // each is opened, and its process asked for: others sweep, too

void put_text(char* into, std::size_t bytes, char const* text) noexcept {
  Text(into, bytes - 1) << text;  // the rest is zero
}

bool begins_with(std::string_view text, std::string_view beginning) noexcept {
  return text.size() >= beginning.size() && std::memcmp(text.data(), beginning.data(), beginning.size()) == 0;
}

bool is_same(void const* mapping, void const* head) noexcept { return std::memcmp(mapping, head, sizeof(Head)) == 0; }

}  // namespace

PageFile::Made PageFile::make(char const* program, char const* library, char const* root) noexcept {
  mark_ = os::ProcessMark::own();
  world_ = os::ProcessWorld::own();
  user_ = os::user_id();
  Head head = {};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.version = kVersion;
  head.bytes = sizeof(Page);
  head.mark = mark_.word();
  head.boot = world_.boot;
  head.pid_namespace = world_.pid_namespace;
  head.time_namespace = world_.time_namespace;
  head.made_ns = os::realtime_ns();
  head.process = static_cast<std::uint32_t>(os::process_id());
  head.user = user_;
  put_text(head.program, sizeof head.program, program);
  put_text(head.library, sizeof head.library, library);
  FixedText<64> name;
  name << kPrefix << head.process << '-' << mark_.start() << '\0';
  os::SharedFileKind const kind = {.name = name.view().data(),
                                   .bytes = sizeof(Page),
                                   .head = &head,
                                   .head_bytes = sizeof head,
                                   .usable = is_same,
                                   .context = &head};
  Made const made = file_.open(kind, root);
  if (made != Made::fine) return made;
  careful_ = !os::may_be_filtered();
  sweep(file_.path());
  page_.store(static_cast<Page*>(file_.mapping()), std::memory_order_release);
  return made;
}

void PageFile::tell_failure(Made made, bool insisted) const noexcept {
  char const* const why = made == Made::full      ? "no room is left there"
                          : made == Made::exposed ? "others than the user can reach it"
                          : made == Made::foreign ? "it belongs to another user"
                          : made == Made::odd     ? "it is a link, or no file"
                                                  : "it cannot be made";
  Line line;
  line << "STEALTH_CONTROL: no control page at " << file_.path() << ": " << why
       << "; stealth top, stat and set will not see this process";
  if (insisted) {
    report(line.view());
  } else {
    remark(line.view());
  }
}

bool PageFile::is_present_users() const noexcept { return user_ == os::user_id(); }

bool PageFile::is_in_place() const noexcept { return file_.now() == os::SharedFile::Now::same; }

// The directory is its user's, who may have put anything in its place: another user's is left alone.
void PageFile::give_up() noexcept {
  if (is_present_users()) remove();
  page_.store(nullptr, std::memory_order_release);
}

bool PageFile::path_beside(std::string_view name, Text& path) const noexcept {
  std::string_view const own(file_.path());
  path << std::string_view(own.data(), own.rfind('/') + 1) << name << '\0';
  return !path.cut();
}

void PageFile::remove() const noexcept {
  if (is_good()) file_.remove();
}

void PageFile::forget_in_child() noexcept {
  Page* const page = page_.exchange(nullptr, std::memory_order_relaxed);
  if (page != nullptr) os::unmap(page, sizeof(Page));
  file_ = {};
}

bool PageFile::copy(void* to, void const* from, std::size_t bytes) const noexcept {
  os::Copied const copied = careful_ ? os::copy_carefully(to, from, bytes) : os::Copied::refused;
  if (copied != os::Copied::refused) return copied == os::Copied::all;
  if (file_.now() != os::SharedFile::Now::same) return false;
  std::memcpy(to, from, bytes);
  return true;
}

bool PageFile::put_snapshot(Snapshot const& snapshot) noexcept {
  Page* const page = page_.load(std::memory_order_relaxed);
  return copy(&page->snapshots[snapshot.begun % 2], &snapshot, sizeof snapshot) &&
         copy(&page->newest, &snapshot.begun, sizeof snapshot.begun);
}

bool PageFile::put_answer(Answer const& answer) noexcept {
  Page* const page = page_.load(std::memory_order_relaxed);
  return copy(&page->answer.error, &answer.error, sizeof answer - offsetof(Answer, error)) &&
         copy(&page->answer.number, &answer.number, sizeof answer.number);
}

bool PageFile::read_wish_number(std::uint32_t& number) const noexcept {
  return copy(&number, &page_.load(std::memory_order_relaxed)->wish.number, sizeof number);
}

bool PageFile::read_wish(Wish& wish) const noexcept {
  return copy(&wish, &page_.load(std::memory_order_relaxed)->wish, sizeof wish);
}

bool PageFile::rest_at_bell(std::uint64_t ns, bool (*may)() noexcept) const noexcept {
  Page const* const page = page_.load(std::memory_order_relaxed);
  std::uint32_t bell = 0;
  if (!copy(&bell, &page->bell, sizeof bell)) return false;
  if (may()) os::shared_futex_wait(&page->bell, bell, ns);
  return true;
}

void PageFile::ring() const noexcept {
  Page* const page = page_.load(std::memory_order_acquire);
  if (page != nullptr) os::ring(&page->bell);
}

// Pages that nobody took away, and drafts of anything: their processes were killed. Judged by what stands in them, not
// by their names alone: processes of other PID namespaces may share the directory.
void PageFile::sweep(char const* own_path) const noexcept {
  std::string_view const own(own_path);
  std::size_t const slash = own.rfind('/');
  struct Context {
    PageFile const& file;
    std::string_view directory, own_name;
    int left;
  } context = {*this, {own_path, slash}, {own_path + slash + 1, own.size() - slash - 1}, kMostSwept};
  FixedText<256> directory;
  directory << context.directory << '\0';
  os::for_each_name(directory.view().data(), &context, [](void* given, std::string_view name) noexcept {
    auto& of = *static_cast<Context*>(given);
    bool const is_draft = name.find(os::SharedFile::kDraftMark) != std::string_view::npos;
    bool const is_page = begins_with(name, kPrefix) && name != of.own_name;
    if ((!is_draft && !is_page) || --of.left < 0) return;
    FixedText<512> path;
    path << of.directory << '/' << name << '\0';
    if (is_draft && !path.cut() && os::is_left_alone(path.view().data(), kDraftNs)) os::remove_file(path.view().data());
    if (!is_page) return;
    Head head;
    if (path.cut() || os::read_file(path.view().data(), reinterpret_cast<char*>(&head), sizeof head) != sizeof head)
      return;
    if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0 || head.version != kVersion) return;
    os::ProcessWorld const& world = of.file.world_;
    // 0: /proc could not be read then, or cannot be now. That says nothing of others.
    bool const other_boot = head.boot != 0 && world.boot != 0 && head.boot != world.boot;
    bool const comparable = head.pid_namespace == world.pid_namespace && head.time_namespace == world.time_namespace;
    bool const ended = comparable && os::ProcessMark(head.mark).life(of.file.mark_) == os::Life::ended;
    if (other_boot || ended) os::remove_file(path.view().data());
  });
}

}  // namespace stealth::observe
