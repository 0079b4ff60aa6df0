#include "dataplane/reasons.hpp"

namespace sluice::dataplane {
namespace {

constexpr std::string_view FORWARD = "forward", ANSWER = "answer", PASS = "pass", DROP = "drop";

}  // namespace

#define SLUICE_REASON_TEXT(name, verdict, label, sentence) Reason{label, verdict, sentence},
const std::array<Reason, SLUICE_REASON_COUNT> reasons = {SLUICE_REASONS(SLUICE_REASON_TEXT)};
#undef SLUICE_REASON_TEXT

}  // namespace sluice::dataplane
