// The engine as most programs have it under STEALTH_GUARD=full.
#include "guarded.hpp"

namespace {
auto* const g_start = testing::AddGlobalTestEnvironment(new stealth::test::GuardedStart);
}
