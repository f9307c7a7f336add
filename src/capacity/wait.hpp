// One call's waiting, step by step, so that the caller can look for free memory of its own in between. The caller holds
// no lock in step().
#pragma once

#include "capacity/budget.hpp"

namespace stealth {

enum class Verdict : std::uint8_t {
  again,      // try once more: something may have been released
  exhausted,  // waited enough: look for idle memory one last time, then decide()
  granted,    // take it, over the capacity if need be
  refused,    // out of memory
};

// What is waited for.
struct Place {
  std::uint32_t kind = 0;     // for the stall facts
  void const* key = nullptr;  // Waiter::key
};

class Wait {
 public:
  // The charge has an account. `may_wait`: asked once, before the first sleep; false where nobody may be held up.
  Wait(Budget& budget, Charge& charge, Place place, bool (*may_wait)() noexcept) noexcept
      : budget_(budget), charge_(charge), place_(place), may_wait_(may_wait) {}
  ~Wait();
  Wait(Wait const&) = delete;
  Wait& operator=(Wait const&) = delete;

  // Sleeps once, as the charge's refusal asks for: a delay, or for a release (the first step of those only announces
  // the waiter, so that no release is missed). Not `for_pages`: a class is at its max, and pages are of no use.
  [[nodiscard]] Verdict step(bool for_pages) noexcept;
  // The policy's word: granted or refused, or the process ends.
  [[nodiscard]] Verdict decide() noexcept;
  // Takes what was granted meanwhile; true if anything was.
  bool claim() noexcept;
  [[nodiscard]] bool begun() const noexcept { return began_ns_ != 0; }

 private:
  [[nodiscard]] bool put_off() noexcept;
  [[nodiscard]] Verdict sleep_delay() noexcept;
  [[nodiscard]] Verdict announce() noexcept;
  [[nodiscard]] Verdict wait_for_release() noexcept;
  [[nodiscard]] Verdict overdraw() noexcept;
  void begin(std::uint64_t now, std::uint64_t first_sleep) noexcept;
  void join(void const* key, std::uint64_t wanted, std::uint64_t now) noexcept;
  void look_at_waiter() noexcept;
  void sleep(std::uint64_t ns) noexcept;
  void fed(std::uint64_t now) noexcept;
  [[nodiscard]] bool sleep_in_group(std::uint64_t ns) noexcept;
  [[nodiscard]] bool hopeful() noexcept;
  [[nodiscard]] bool is_alone() const noexcept;
  void set_patience() noexcept;
  [[nodiscard]] std::uint64_t first_sleep(std::uint64_t ns, std::uint64_t now) noexcept;
  [[nodiscard]] std::uint64_t affordable(std::uint64_t ns, std::uint64_t now) noexcept;

  [[nodiscard]] Waiter& waiter() noexcept { return charge_.account->waiter; }

  Budget& budget_;
  Charge& charge_;
  Place place_;
  bool (*may_wait_)() noexcept;
  BackoffLimits limits_{};
  bool for_pages_ = true, joined_ = false, in_vain_ = false, may_not_wait_ = false;
  std::uint32_t row_ = Stalls::kNoRow;
  std::uint32_t changes_ = 0;        // Budget::changes_ as this call knows them
  std::uint32_t seen_ = 0;           // waiter().word before the caller's last try
  std::uint32_t seen_fed_ = 0;       // waiter().fed then
  std::uint32_t fruitless_ = 0;      // sleeps in a row during which nothing was released
  std::uint64_t in_silence_ns_ = 0;  // slept since anything was released
  std::uint64_t began_ns_ = 0, fed_ns_ = 0, patience_ns_ = 0;
};

}  // namespace stealth
