// A plain model beside the book: it keeps nothing but the list of what was done, and adds that up anew each time.
// Random requests, many of them wrong; what differs is shrunk to the fewest groups that still show it.
// RIBALTA_LEDGER_OPERATIONS: how many requests in all (20 000).
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <tuple>
#include <utility>

#include "control-plane/ledger/desk.h"
#include "control-plane/ledger/verify.h"
#include "core/testing/postgres.h"

using namespace ribalta;
using namespace ribalta::ledger;

namespace {

constexpr Currency kEuro{};
constexpr Currency kCoins{{'X', 'C', 'O', '\0'}};
constexpr std::int64_t kBegin = 1'800'000'000'000;
constexpr std::size_t kGroupsAtOnce = 120;

const std::array kAccounts{
    AccountTerms{{0, 1}, kEuro, Side::debit, true},   AccountTerms{{0, 2}, kEuro, Side::credit, false},
    AccountTerms{{0, 3}, kEuro, Side::credit, false}, AccountTerms{{0, 4}, kEuro, Side::debit, false},
    AccountTerms{{0, 5}, kCoins, Side::credit, true}, AccountTerms{{0, 6}, kCoins, Side::credit, false},
};

struct Group {
  std::vector<Transfer> transfers;
  std::int64_t now_ms = 0;
};

class Model {
 public:
  std::vector<TransferStatus> submit(const Group& group) {
    now_ = group.now_ms;
    const std::size_t before = done_.size();
    std::vector<TransferStatus> answers;
    for (const Transfer& transfer : group.transfers) {
      const std::optional<TransferStatus> first = first_answer(transfer);
      answers.push_back(first ? *first : judge(transfer));
      if (!is_success(answers.back())) break;
    }
    if (!is_success(answers.back())) {
      const std::size_t bad = answers.size() - 1;
      const bool new_here = !first_answer(group.transfers[bad]).has_value();
      done_.resize(before);
      answers.resize(group.transfers.size());
      for (std::size_t i = 0; i < group.transfers.size(); ++i) {
        const Transfer& transfer = group.transfers[i];
        const auto known = answered_.find(transfer.id);
        if (known != answered_.end()) {
          answers[i] = repeat(known->second, transfer);
          continue;
        }
        if (i != bad) answers[i] = TransferStatus::linked_transfer_failed;
        if (new_here) answered_[transfer.id] = {transfer, answers[i]};
      }
      return answers;
    }
    for (const Transfer& transfer : group.transfers) {
      answered_.try_emplace(transfer.id, std::pair{transfer, TransferStatus::created});
    }
    return answers;
  }

  [[nodiscard]] Balance balance(AccountId id) const {
    Balance sum;
    for (const Done& one : done_) {
      const bool open = one.asked.kind == Kind::pending && state_of(one) == State::pending;
      const bool moved = one.asked.kind != Kind::pending && one.asked.kind != Kind::void_pending;
      if (one.debit == id) (open ? sum.debits_pending : sum.debits) += open || moved ? one.minor : 0;
      if (one.credit == id) (open ? sum.credits_pending : sum.credits) += open || moved ? one.minor : 0;
    }
    return sum;
  }

 private:
  struct Done {
    Transfer asked;
    AccountId debit;
    AccountId credit;
    std::int64_t minor = 0;
  };
  static TransferStatus repeat(const std::pair<Transfer, TransferStatus>& known, const Transfer& transfer) {
    if (known.first != transfer) return TransferStatus::exists_with_different_terms;
    return known.second == TransferStatus::created ? TransferStatus::exists : known.second;
  }
  std::optional<TransferStatus> first_answer(const Transfer& transfer) const {
    for (const Done& one : done_) {
      if (one.asked.id == transfer.id)
        return one.asked == transfer ? TransferStatus::exists : TransferStatus::exists_with_different_terms;
    }
    const auto known = answered_.find(transfer.id);
    if (known == answered_.end()) return std::nullopt;
    return repeat(known->second, transfer);
  }
  State state_of(const Done& pending) const {
    for (const Done& one : done_) {
      if (one.asked.of != pending.asked.id) continue;
      if (one.asked.kind == Kind::post_pending) return State::posted;
      if (one.asked.kind == Kind::void_pending) return State::voided;
    }
    const std::int64_t expires = pending.asked.expires_ms;
    return expires != 0 && expires <= now_ ? State::expired : State::pending;
  }
  static const AccountTerms* terms(AccountId id) {
    const auto found = std::ranges::find(kAccounts, id, &AccountTerms::id);
    return found == kAccounts.end() ? nullptr : &*found;
  }

  TransferStatus judge(const Transfer& asked) {
    Done done{asked, asked.debit, asked.credit, asked.amount.minor};
    const bool with_original =
        asked.kind == Kind::post_pending || asked.kind == Kind::void_pending || asked.kind == Kind::reversal;
    const bool accounts_given = asked.debit != AccountId{} || asked.credit != AccountId{};
    if (accounts_given == with_original) return TransferStatus::fields_of_another_kind;
    if ((asked.of != TransferId{}) != with_original) return TransferStatus::fields_of_another_kind;
    if (asked.expires_ms != 0 && asked.kind != Kind::pending) return TransferStatus::fields_of_another_kind;
    if (asked.kind == Kind::void_pending) {
      if (asked.amount.minor != 0) return TransferStatus::fields_of_another_kind;
    } else if (asked.amount.minor <= 0) {
      return TransferStatus::amount_must_be_positive;
    }
    if (asked.amount.minor > kAmountMax) return TransferStatus::amount_over_limit;
    std::int64_t left = 0;
    if (with_original) {
      const auto original = std::ranges::find(done_, asked.of, [](const Done& one) { return one.asked.id; });
      if (original == done_.end()) {
        return answered_.contains(asked.of) ? TransferStatus::original_of_another_kind
                                            : TransferStatus::original_not_found;
      }
      const Kind kind = original->asked.kind;
      left = original->minor;
      if (asked.kind == Kind::reversal) {
        if (kind == Kind::pending || kind == Kind::void_pending) return TransferStatus::original_of_another_kind;
        done.debit = original->credit;
        done.credit = original->debit;
        for (const Done& one : done_) {
          if (one.asked.kind == Kind::reversal && one.asked.of == asked.of) left -= one.minor;
        }
      } else {
        if (kind != Kind::pending) return TransferStatus::original_of_another_kind;
        const State state = state_of(*original);
        if (state == State::posted) return TransferStatus::pending_already_posted;
        if (state == State::voided) return TransferStatus::pending_already_voided;
        if (state == State::expired) return TransferStatus::pending_expired;
        done.debit = original->debit;
        done.credit = original->credit;
      }
    }
    if (done.debit == done.credit) return TransferStatus::accounts_must_differ;
    const AccountTerms* debit = terms(done.debit);
    const AccountTerms* credit = terms(done.credit);
    if (debit == nullptr || credit == nullptr) return TransferStatus::account_not_found;
    if (asked.kind != Kind::void_pending) {
      if (debit->currency != credit->currency || asked.amount.currency != debit->currency)
        return TransferStatus::currency_mismatch;
      if (asked.expires_ms != 0 && asked.expires_ms <= now_) return TransferStatus::expiry_in_the_past;
      if (with_original && asked.amount.minor > left) return TransferStatus::amount_over_original;
    }
    const bool takes = asked.kind != Kind::post_pending && asked.kind != Kind::void_pending;
    if (takes && debit->normal == Side::credit && !debit->may_go_negative &&
        available(balance(done.debit), Side::credit) < done.minor)
      return TransferStatus::insufficient_funds;
    if (takes && credit->normal == Side::debit && !credit->may_go_negative &&
        available(balance(done.credit), Side::debit) < done.minor)
      return TransferStatus::insufficient_funds;
    done_.push_back(done);
    return TransferStatus::created;
  }

  std::vector<Done> done_;  ///< what holds, in order
  std::map<TransferId, std::pair<Transfer, TransferStatus>> answered_;
  std::int64_t now_ = 0;
};

/// Groups of which about half are sensible, over few accounts and ids, so that they meet.
std::vector<Group> random_groups(std::mt19937_64& random, std::size_t count) {
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  std::vector<Group> groups;
  std::vector<Transfer> before;
  std::int64_t now = kBegin;
  std::uint64_t next_id = 0;
  for (std::size_t g = 0; g < count; ++g) {
    now += static_cast<std::int64_t>(below(4));
    Group group{.transfers = {}, .now_ms = now};
    const std::size_t size = below(4) == 0 ? 1 + below(4) : 1;
    for (std::size_t i = 0; i < size; ++i) {
      if (!before.empty() && below(12) == 0) {  // again, sometimes with another body
        Transfer again = before[below(before.size())];
        if (below(3) == 0) again.amount.minor += 1;
        group.transfers.push_back(again);
        continue;
      }
      Transfer transfer{.id = {1, ++next_id}, .debit = {}, .credit = {}, .amount = {}, .of = {}, .reference = {}};
      const std::uint64_t kind = below(10);
      transfer.kind = kind < 4    ? Kind::direct
                      : kind < 6  ? Kind::pending
                      : kind == 6 ? Kind::void_pending
                      : kind == 7 ? Kind::reversal
                                  : Kind::post_pending;
      transfer.amount.minor = static_cast<std::int64_t>(below(8) == 0 ? below(2) * -3 : 1 + below(60));
      transfer.amount.currency = below(5) == 0 ? kCoins : kEuro;
      if (transfer.kind == Kind::direct || transfer.kind == Kind::pending) {
        transfer.debit = below(40) == 0 ? AccountId{9, 9} : kAccounts[below(kAccounts.size())].id;
        transfer.credit = kAccounts[below(kAccounts.size())].id;
        if (below(3) > 0 && transfer.amount.currency == kEuro) {  // money that comes in makes the rest possible
          transfer.debit = kAccounts[below(2)].id;
          transfer.credit = kAccounts[1 + below(2)].id;
        }
        if (transfer.kind == Kind::pending && below(2) == 0)
          transfer.expires_ms = now + static_cast<std::int64_t>(below(12));
      } else {
        if (!before.empty())
          transfer.of = before[before.size() - 1 - below(std::min<std::size_t>(before.size(), 12))].id;
        if (transfer.kind == Kind::void_pending && below(10) > 0) transfer.amount.minor = 0;
      }
      if (below(60) == 0) transfer.of = {1, below(next_id + 5)};
      before.push_back(transfer);
      group.transfers.push_back(transfer);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// The book alone: it keeps everything.
class InMemory {
 public:
  InMemory() {
    for (const AccountTerms& terms : kAccounts) book_.open_account(terms);
  }
  std::vector<TransferStatus> submit(const Group& group) { return book_.submit(group.transfers, group.now_ms); }
  [[nodiscard]] Account account(AccountId id) const { return *book_.account(id); }
  [[nodiscard]] const Book::TotalsByCurrency& totals() const { return book_.totals(); }
  [[nodiscard]] std::string end() const { return {}; }

 private:
  Book book_;
};

/// A ledger on disk, which remembers nothing from one group to the next but what is pending, and begins anew from its
/// file now and then.
class OnDisk {
 public:
  OnDisk() : store_(Store::open("sqlite:" + (folder_.path() / "ledger").string(), true).value()) {
    begin();
    for (const AccountTerms& terms : kAccounts) ask(OpenAccount{terms}, kBegin);
  }
  std::vector<TransferStatus> submit(const Group& group) {
    if (++groups_ % 17 == 0) begin();
    return std::get<std::vector<TransferStatus>>(ask(group.transfers, group.now_ms));
  }
  [[nodiscard]] Account account(AccountId id) { return store_.accounts({&id, 1}).value().front().account; }
  [[nodiscard]] const Book::TotalsByCurrency& totals() const { return desk_->book().totals(); }
  /// What is wrong with the whole of it.
  [[nodiscard]] std::string end() {
    const Result<Verified> verified = verify(store_);
    return verified ? "" : verified.error().message + '\n';
  }

 private:
  void begin() {
    epoch_ = store_.take_epoch(kBegin).value();
    desk_.emplace(Desk::load(store_).value());
  }
  Answers ask(const Request& request, std::int64_t now_ms) {
    const Request* const asked = &request;
    REQUIRE(desk_->expire(store_, now_ms));
    REQUIRE(desk_->prepare(store_, {&asked, 1}));
    Answers answers = desk_->take(request, now_ms);
    const Changes changes = desk_->hand_over();
    if (!changes.rows.empty()) REQUIRE(store_.write(changes, epoch_));
    desk_->settle();
    return answers;
  }

  ribalta::testing::Folder folder_;
  Store store_;
  Epoch epoch_;
  std::optional<Desk> desk_;
  std::size_t groups_ = 0;
};

/// The same, one group behind: each is judged while the one before is being written, and now and then that fails: then
/// both are judged again by what stands on disk. It keeps hardly any account in memory.
class OneBehind {
 public:
  OneBehind() : store_(Store::open("sqlite:" + (folder_.path() / "ledger").string(), true).value()) {
    begin();
    for (const AccountTerms& terms : kAccounts) {
      const Request request = OpenAccount{terms};
      judge(request, kBegin);
      write();
    }
  }
  std::vector<TransferStatus> submit(const Group& group) {
    std::vector<TransferStatus> answers = judge(group.transfers, group.now_ms);
    if (behind_ && random_() % 10 == 0) {
      begin();
      CHECK(judge(behind_->first.transfers, behind_->first.now_ms) == behind_->second);
      handed_ = desk_->hand_over();
      CHECK(judge(group.transfers, group.now_ms) == answers);
    }
    if (behind_) write();
    handed_ = desk_->hand_over();
    behind_ = {group, answers};
    return answers;
  }
  [[nodiscard]] Account account(AccountId id) {
    const Account* const kept = desk_->book().account(id);
    return kept != nullptr ? *kept : store_.accounts({&id, 1}).value().front().account;
  }
  [[nodiscard]] const Book::TotalsByCurrency& totals() const { return desk_->book().totals(); }
  [[nodiscard]] std::string end() {
    if (behind_) write();
    const Result<Verified> verified = verify(store_);
    return verified ? "" : verified.error().message + '\n';
  }

 private:
  void begin() {
    epoch_ = store_.take_epoch(kBegin).value();
    desk_.emplace(Desk::load(store_, 3).value());
  }
  std::vector<TransferStatus> judge(const Request& request, std::int64_t now_ms) {
    const Request* const asked = &request;
    REQUIRE(desk_->expire(store_, now_ms));
    REQUIRE(desk_->prepare(store_, {&asked, 1}));
    Answers answers = desk_->take(request, now_ms);
    auto* const statuses = std::get_if<std::vector<TransferStatus>>(&answers);
    return statuses != nullptr ? std::move(*statuses) : std::vector<TransferStatus>{};
  }
  void write() {
    if (!behind_) handed_ = desk_->hand_over();
    if (!handed_.rows.empty()) REQUIRE(store_.write(handed_, epoch_));
    desk_->settle();
  }

  ribalta::testing::Folder folder_;
  Store store_;
  Epoch epoch_;
  std::optional<Desk> desk_;
  Changes handed_;
  std::optional<std::pair<Group, std::vector<TransferStatus>>> behind_;  ///< handed over, not written yet
  std::mt19937_64 random_{5};
};

/// What differs first, or nothing. `answers`: how often each was given.
template <class Ledger>
std::string differs(const std::vector<Group>& groups, std::map<TransferStatus, std::size_t>& answers) {
  Ledger ledger;
  Model model;
  std::ostringstream out;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::vector<TransferStatus> ours = ledger.submit(groups[g]);
    const std::vector<TransferStatus> models = model.submit(groups[g]);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      ++answers[ours[i]];
      if (ours[i] != models[i])
        out << "group " << g << ", transfer " << i << ": " << to_string(ours[i]) << ", the model says "
            << to_string(models[i]) << '\n';
    }
    for (const AccountTerms& terms : kAccounts) {
      const Account account = ledger.account(terms.id);
      if (account.balance != model.balance(terms.id))
        out << "group " << g << ": account " << terms.id.low << " has another balance\n";
      if (!terms.may_go_negative && available(account.balance, terms.normal) < 0)
        out << "group " << g << ": account " << terms.id.low << " is overdrawn\n";
    }
    for (const auto& [currency, totals] : ledger.totals()) {
      if (totals.debits != totals.credits) out << "group " << g << ": " << currency << " does not sum to zero\n";
    }
    if (!out.str().empty()) return out.str();
  }
  return ledger.end();
}

TransferStatus next(TransferStatus status) { return static_cast<TransferStatus>(static_cast<int>(status) + 1); }

std::string told(const std::vector<Group>& groups) {
  std::ostringstream out;
  for (const Group& group : groups) {
    out << "at " << group.now_ms - kBegin << ":";
    for (const Transfer& one : group.transfers)
      out << " {id " << one.id.low << " kind " << static_cast<int>(one.kind) << ' ' << one.debit.low << "->"
          << one.credit.low << ' ' << one.amount.minor << one.amount.currency.text() << " of " << one.of.low
          << " expires " << (one.expires_ms == 0 ? 0 : one.expires_ms - kBegin) << '}';
    out << '\n';
  }
  return out.str();
}

/// Random groups until so many were answered; fails with the fewest groups that still show a difference.
template <class Ledger>
std::map<TransferStatus, std::size_t> compare(std::size_t operations) {
  std::map<TransferStatus, std::size_t> answers;
  std::size_t done = 0;
  for (std::uint64_t seed = 1; done < operations; ++seed, done += kGroupsAtOnce) {
    std::mt19937_64 random{seed};
    std::vector<Group> groups = random_groups(random, kGroupsAtOnce);
    if (differs<Ledger>(groups, answers).empty()) continue;
    for (bool smaller = true; smaller;) {  // without each group in turn, as long as it still differs
      smaller = false;
      for (std::size_t i = groups.size(); i > 0; --i) {
        std::vector<Group> fewer = groups;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i - 1));
        if (differs<Ledger>(fewer, answers).empty()) continue;
        groups = std::move(fewer);
        smaller = true;
      }
    }
    FAIL("seed " << seed << ": " << differs<Ledger>(groups, answers) << told(groups));
  }
  return answers;
}

std::size_t operations(std::size_t usual) {
  const char* const wanted = std::getenv("RIBALTA_LEDGER_OPERATIONS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

}  // namespace

TEST_CASE("ledger: the book answers what a plain model answers") {
  auto answers = compare<InMemory>(operations(20'000));
  // What no request here asks for has cases of its own.
  for (auto status = TransferStatus::created; status <= TransferStatus::too_many_pending; status = next(status)) {
    const bool apart = (status >= TransferStatus::id_missing && status <= TransferStatus::unknown_currency) ||
                       status == TransferStatus::amount_over_limit || status == TransferStatus::account_closed ||
                       status == TransferStatus::balance_over_limit || status == TransferStatus::too_many_pending;
    CHECK_MESSAGE((answers[status] > 0 || apart), to_string(status));
  }
}

TEST_CASE("ledger: one on disk, which forgets between groups, answers what a plain model answers, and is whole") {
  compare<OnDisk>(operations(1'200));
}

TEST_CASE("ledger: one that judges while it writes, and now and then fails to, answers what a plain model answers") {
  compare<OneBehind>(operations(1'200));
}
