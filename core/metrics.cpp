#include "core/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <memory>
#include <mutex>
#include <utility>

namespace ribalta {
namespace {

class CounterOf final : public Counter {
 public:
  explicit CounterOf(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class GaugeOf final : public Gauge {
 public:
  explicit GaugeOf(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  void add(double amount) override { gauge_.Increment(amount); }

 private:
  prometheus::Gauge& gauge_;
};

class HistogramOf final : public Histogram {
 public:
  explicit HistogramOf(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

using Key = std::pair<std::string, MetricLabels>;

}  // namespace

struct Metrics::State {
  std::mutex mutex;
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  std::map<Key, std::unique_ptr<Counter>> counters;
  std::map<Key, std::unique_ptr<Gauge>> gauges;
  std::map<Key, std::unique_ptr<Histogram>> histograms;
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  const std::scoped_lock lock{state_->mutex};
  std::unique_ptr<Counter>& made = state_->counters[Key{name, labels}];
  if (!made) {
    auto& family =
        prometheus::BuildCounter().Name(std::string{name}).Help(std::string{help}).Register(state_->registry);
    made = std::make_unique<CounterOf>(family.Add(labels));
  }
  return *made;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  const std::scoped_lock lock{state_->mutex};
  std::unique_ptr<Gauge>& made = state_->gauges[Key{name, labels}];
  if (!made) {
    auto& family = prometheus::BuildGauge().Name(std::string{name}).Help(std::string{help}).Register(state_->registry);
    made = std::make_unique<GaugeOf>(family.Add(labels));
  }
  return *made;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                              const MetricLabels& labels) {
  const std::scoped_lock lock{state_->mutex};
  std::unique_ptr<Histogram>& made = state_->histograms[Key{name, labels}];
  if (!made) {
    auto& family =
        prometheus::BuildHistogram().Name(std::string{name}).Help(std::string{help}).Register(state_->registry);
    made = std::make_unique<HistogramOf>(family.Add(labels, prometheus::Histogram::BucketBoundaries{bounds}));
  }
  return *made;
}

std::string Metrics::text() const {
  const prometheus::TextSerializer serializer;
  return serializer.Serialize(state_->registry.Collect());
}

}  // namespace ribalta
