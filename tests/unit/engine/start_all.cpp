// The engine as most programs have it: the whole ladder, spans, no capacity.
#include "engine.hpp"

namespace {
auto* const g_start = testing::AddGlobalTestEnvironment(new stealth::test::EngineStart({}));
}
