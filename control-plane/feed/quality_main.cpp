// How well the feed's models guess on a file that others have published figures for: for tests/bench/feed-quality.mjs.
// Settings are chosen on validation (tune.h); the test is looked at once, at the end.
#include <boost/describe/class.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/feed/dataset.h"
#include "control-plane/feed/tune.h"
#include "core/json.h"

namespace ribalta::feed {
namespace {

constexpr const char* kUsage = "usage: ribalta-feed-quality FILE loo|random [PAIRS]\n";
constexpr std::size_t kFileBytesMax = 1U << 30U;
constexpr std::uint64_t kIalsSeeds = 5;
// Settings of the reference rows.
constexpr float kEasePublished = 300;
constexpr IalsOptions kIalsPublished{.regularisation = 0.01F, .unobserved_weight = 0.1F};

struct Figure {
  std::string model;
  std::string metric;
  double value = 0;
};
BOOST_DESCRIBE_STRUCT(Figure, (), (model, metric, value))
struct Attempt {
  std::string model;
  std::string setting;
  std::vector<Figure> figures;
};
BOOST_DESCRIBE_STRUCT(Attempt, (), (model, setting, figures))
struct Report {
  std::int64_t viewers = 0;
  std::int64_t items = 0;
  std::int64_t events = 0;
  std::vector<Figure> test;
  std::vector<Figure> seconds;  ///< of training
  std::vector<Attempt> validation;
};
BOOST_DESCRIBE_STRUCT(Report, (), (viewers, items, events, test, seconds, validation))

int fail_with(std::string_view sentence) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(sentence.size()), sentence.data());
  return 1;
}

Result<std::string> read_file(const char* path) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  if (!file) return fail(Code::not_found, "the file cannot be opened", path);
  const auto bytes = static_cast<std::size_t>(file.tellg());
  if (bytes > kFileBytesMax) return fail(Code::limit, "the file is larger than 1 GiB", path);
  std::string text(bytes, '\0');
  file.seekg(0);
  if (!file.read(text.data(), static_cast<std::streamsize>(bytes)))
    return fail(Code::io, "the file cannot be read", path);
  return text;
}

std::vector<Figure> figures(std::string_view model, const Quality& quality, bool by_time) {
  std::vector<Figure> found;
  const auto add = [&](std::string metric, double value) {
    found.push_back({std::string{model}, std::move(metric), value});
  };
  for (std::size_t i = 0; i < kCutoffs.size(); ++i) {
    const std::string at = "@" + std::to_string(kCutoffs[i]);
    if (by_time) add("hr" + at, quality.at[i].hits);
    add("ndcg" + at, quality.at[i].ndcg);
    if (by_time) continue;  // of one held item these are the hits once more
    add("p" + at, quality.at[i].precision);
    add("r" + at, quality.at[i].recall);
  }
  add("mrr", quality.mrr);
  return found;
}

/// Measures everything on the test, with what was chosen before.
class Measuring {
 public:
  Measuring(Report& report, const Split& test, bool by_time)
      : report_(report), test_(test), matrix_(test.training), by_time_(by_time) {}

  void source(std::string_view model, const std::function<Quality(const Matrix&)>& measure) {
    const auto begin = std::chrono::steady_clock::now();
    const Quality quality = measure(matrix_);
    add(model, quality, begin);
  }
  void all(const Splits& splits, const Settings& settings) {
    const ModelOptions& options = settings.models;
    source("pop", [&](const Matrix& matrix) {
      Popularity model{std::chrono::milliseconds{0}};
      model.learn(matrix);
      return evaluate(model, matrix, test_.held);
    });
    source("itemknn",
           [&](const Matrix& matrix) { return evaluate(ItemKnn{matrix, options.itemknn}, matrix, test_.held); });
    // As its figures were published, whatever validation says; and as validation says.
    EaseOptions published = options.ease;
    published.regularisation = kEasePublished;
    source("ease", [&](const Matrix& matrix) { return evaluate(Ease{matrix, published}, matrix, test_.held); });
    source("ease_tuned",
           [&](const Matrix& matrix) { return evaluate(Ease{matrix, options.ease}, matrix, test_.held); });
    IalsOptions published_ials = options.ials;
    published_ials.regularisation = kIalsPublished.regularisation;
    published_ials.unobserved_weight = kIalsPublished.unobserved_weight;
    source("ials", [&](const Matrix& matrix) { return ials(matrix, published_ials); });
    source("ials_tuned", [&](const Matrix& matrix) { return ials(matrix, options.ials); });
    source("ranker", [&](const Matrix& matrix) {
      const Scorer scorer = learned_scorer(splits, settings);
      const Models models{matrix, options};
      return evaluate(scorer, models.sources().first(settings.sources), matrix, test_.held, settings.ranking);
    });
  }

 private:
  void add(std::string_view model, const Quality& quality, std::chrono::steady_clock::time_point begin) {
    for (Figure& figure : figures(model, quality, by_time_)) report_.test.push_back(std::move(figure));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    report_.seconds.push_back({std::string{model}, "seconds", took.count()});
  }
  /// The mean over seeds.
  Quality ials(const Matrix& matrix, IalsOptions options) const {
    std::vector<Quality> found;
    for (options.seed = 1; options.seed <= kIalsSeeds; ++options.seed) {
      found.push_back(evaluate(Ials{matrix, options}, matrix, test_.held));
    }
    return mean_of(found);
  }

  Report& report_;
  const Split& test_;
  Matrix matrix_;
  bool by_time_;
};

int quality_main(const char* path, bool by_time, const char* pairs_path) {
  const Result<std::string> text = read_file(path);
  if (!text) return fail_with(text.error().message);
  const Result<Dataset> dataset = read_dataset(*text);
  if (!dataset) return fail_with(dataset.error().message);
  if (dataset->events.empty()) return fail_with("the file has no events");
  std::optional<std::vector<Pair>> pairs;
  if (pairs_path != nullptr) {
    const Result<std::string> pairs_text = read_file(pairs_path);
    if (!pairs_text) return fail_with(pairs_text.error().message);
    Result<std::vector<Pair>> read = read_pairs(*pairs_text, *dataset);
    if (!read) return fail_with(read.error().message);
    pairs = std::move(*read);
  }
  const Splits splits = by_time ? splits_by_time(dataset->events) : splits_at_random(dataset->events, pairs);
  if (splits.lesson.held.empty()) return fail_with("histories are too short to hold anything back");

  Report report;
  report.viewers = static_cast<std::int64_t>(dataset->viewers.size());
  report.items = static_cast<std::int64_t>(dataset->items.size());
  report.events = static_cast<std::int64_t>(dataset->events.size());
  const Tried tried = [&](std::string_view model, std::string_view setting, const Quality& quality) {
    const std::string said = std::string{model} + ", " + std::string{setting};
    std::fprintf(stderr, "validation: %-34s ndcg@10 %.4f, all cutoffs %.4f\n", said.c_str(), quality.at[1].ndcg,
                 worth(quality));
    report.validation.push_back({std::string{model}, std::string{setting}, figures(model, quality, by_time)});
  };
  ModelOptions begin;
  begin.ease.weights_per_item = kEaseItemsMax;  // as published: none is left out
  begin.ials.threads = 2;
  const ModelOptions models = tune_models(splits, begin, tried);
  const Settings settings = tune_ranking(splits, models, tried);
  Measuring{report, splits.test, by_time}.all(splits, settings);
  std::printf("%s\n", json_write(report).c_str());
  return 0;
}

}  // namespace
}  // namespace ribalta::feed

int main(int argc, char** argv) {
  const std::string_view protocol = argc > 2 ? argv[2] : "";
  if (argc < 3 || argc > 4 || (protocol != "loo" && protocol != "random") || (protocol == "loo" && argc == 4)) {
    std::fputs(ribalta::feed::kUsage, stderr);
    return 2;
  }
  return ribalta::feed::quality_main(argv[1], protocol == "loo", argc == 4 ? argv[3] : nullptr);
}
