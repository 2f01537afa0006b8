// For tests: stands where the control plane calls libsodium for a password's hash, counts those calls, and can hold
// them at a gate. So a test sees what was decided before any hash was there, whatever the machine's speed.
#pragma once

namespace ribalta::control::testing {

/// One at a time. What is asked for while it is closed waits; the hashes themselves are libsodium's.
class HashGate {
 public:
  HashGate();
  ~HashGate();  ///< opens
  HashGate(const HashGate&) = delete;
  HashGate& operator=(const HashGate&) = delete;

  void close();
  void open();
  /// Hashes that were begun since it was made: made for a new password, or held against a given one.
  [[nodiscard]] int begun() const;
};

}  // namespace ribalta::control::testing
