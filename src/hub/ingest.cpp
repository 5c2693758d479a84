#include "hub/ingest.h"

#include "base/assert.h"
#include "hub/internal/ingest_state.h"
#include "store/sqlite_history.h"

#include <algorithm>

namespace brim::hub {

namespace {

// Applied but not yet in the history database; above it reports are refused as busy instead of eating memory.
constexpr std::size_t waiting_points_max = 500'000;

thing::Value to_thing(store::HistoryValue value) {
    if (auto* json = std::get_if<store::JsonText>(&value))
        return {thing::Value::Composite{std::move(json->text)}};
    if (auto* text = std::get_if<std::string>(&value))
        return {std::move(*text)};
    if (const auto* number = std::get_if<double>(&value))
        return {*number};
    return {std::get<std::int64_t>(value)};
}

store::HistoryValue to_store(const thing::Value& value) {
    if (const auto* json = std::get_if<thing::Value::Composite>(&value.data))
        return store::JsonText{json->json};
    if (const auto* text = std::get_if<std::string>(&value.data))
        return *text;
    if (const auto* number = std::get_if<double>(&value.data))
        return *number;
    return std::get<std::int64_t>(value.data);
}

} // namespace

Result<void> Ingest::State::open() {
    store::LogOptions log_options;
    log_options.folder = options.folder;
    log_options.name = "ingress";
    log_options.segment_bytes = options.segment_bytes;
    log_options.record_bytes_max = std::min<std::uint32_t>(1'048'576, options.segment_bytes / 2);
    log_options.bytes_max = options.log_bytes_max;
    // Acknowledged records may only leave once history has them: a full log refuses new ones.
    log_options.when_full = store::WhenFull::reject;
    auto opened = store::Log::open(env, log_options);
    if (!opened)
        return fail(std::move(opened).error());
    log = std::move(*opened);
    const std::size_t slash = options.folder.rfind('/');
    const std::string beside =
        slash == std::string::npos ? std::string{} : options.folder.substr(0, slash + 1);
    auto history_opened = store::open_sqlite_history(env.disk(), beside + "history.db");
    if (!history_opened)
        return fail(std::move(history_opened).error());
    history = std::move(*history_opened);
    BRIM_TRY(catch_up());
    worker = env.make_worker("history");
    note_room();
    start_timers();
    return {};
}

Result<void> Ingest::State::catch_up() {
    applied = flushed = history->applied();
    if (log->stats().next <= applied) {
        return fail(
            Errc::corrupt,
            "hub data",
            "the ingress log ends before what history already holds",
            "restore the ingress folder and history.db from the same backup"
        );
    }
    auto notes = history->notes();
    if (!notes)
        return fail(std::move(notes).error());
    auto latest = history->latest();
    if (!latest)
        return fail(std::move(latest).error());
    for (store::HistoryPoint& point : *latest) {
        Device* device = registry.device(point.device);
        if (device == nullptr || device->product->is_event_column(point.property))
            continue;
        device->set_current(point.property, to_thing(std::move(point.value)), point.time_ms);
    }
    for (const store::HistoryNote& note : *notes) {
        if (!current.restore(registry, note) && !delivered.restore(note)) {
            env.log().warn(
                "ingest", "a set of delivered numbers is unreadable and starts empty", {{"note", note.name}}
            );
        }
    }
    auto reader = log->read_from(applied + 1);
    store::Record raw;
    while (true) {
        auto more = reader->next(raw);
        if (!more)
            return fail(std::move(more).error());
        if (!*more)
            break;
        auto record = decode_record(raw.body);
        if (!record)
            return fail(std::move(record).error());
        apply(*record, raw.seq, nullptr);
        if (points.size() >= options.history_batch_max) {
            BRIM_TRY(history->append(points, take_notes(), applied));
            points.clear();
        }
    }
    if (applied > history->applied())
        BRIM_TRY(history->append(points, take_notes(), applied));
    points.clear();
    flushed = applied;
    return {};
}

void Ingest::State::refuse(Done done, Error error) {
    ++stats.failed;
    env.loop().post([done = std::move(done), error = std::move(error)]() mutable {
        done(fail(std::move(error)));
    });
}

void Ingest::State::submit(Offer offer) {
    if (wait_for_run(offer))
        return;
    const IngressRecord& record = offer.record;
    if (!offer.runs.empty() && delivered.run(record.gateway, record.store) != offer.runs.newest())
        return begin_run(std::move(offer));
    store_offer(std::move(offer.record), std::move(offer.done));
}

// Taken when the edge's new run is not durable yet: what came before stays before.
bool Ingest::State::wait_for_run(Offer& offer) {
    if (new_runs.empty())
        return false;
    const auto found = new_runs.find({offer.record.gateway, offer.record.store});
    if (found == new_runs.end())
        return false;
    if (found->second.size() < options.run_waiting_max) {
        found->second.push_back(std::move(offer));
    } else {
        refuse(
            std::move(offer.done),
            {Errc::busy, "ingress", "too much waits for the start of the gateway", "it tries again"}
        );
    }
    return true;
}

// The edge started again and may give numbers a second time that its log lost. That it did must be as durable
// as what it delivers from now on, or a crash in between would take these for the messages of before.
void Ingest::State::begin_run(Offer offer) {
    if (closing)
        return refuse(
            std::move(offer.done), {Errc::busy, "ingress", "the hub stops", "the sender tries again"}
        );
    IngressRecord begin;
    begin.kind = RecordKind::run;
    begin.device = begin.gateway = offer.record.gateway;
    begin.received_ms = offer.record.received_ms;
    begin.store = offer.record.store;
    // Starts between the known one and this one never got to speak; they may have given numbers again as
    // well.
    begin.seq = offer.runs.first_after(delivered.run(offer.record.gateway, offer.record.store));
    begin.low = offer.record.low;
    begin.run = offer.runs.newest();
    Bytes body;
    encode_record(begin, body);
    const auto at = log->append(body);
    if (!at)
        return refuse(std::move(offer.done), at.error());
    new_runs[{begin.gateway, begin.store}].push_back(std::move(offer));
    log->when_durable(*at, [this, at = *at, begin = std::move(begin)](Result<void> result) mutable {
        auto waiting = std::move(new_runs.extract({begin.gateway, begin.store}).mapped());
        if (!result) {
            env.log().error("ingest", "a run could not be stored", {{"cause", result.error().text()}});
            for (Offer& each : waiting)
                refuse(std::move(each.done), result.error());
            return;
        }
        runs.add();
        apply(begin, at, owner->sink_);
        for (Offer& each : waiting)
            submit(std::move(each));
    });
}

void Ingest::State::store_offer(IngressRecord record, Done done) {
    if (record.gateway != 0) {
        delivered.raise(record.gateway, record.store, record.low);
        if (const auto pending = delivered.pending(record.gateway, record.store, record.seq)) {
            ++stats.duplicates;
            return log->when_durable(*pending, std::move(done));
        }
        if (delivered.contains(record.gateway, record.store, record.seq)) {
            ++stats.duplicates;
            return env.loop().post([done = std::move(done)]() mutable { done({}); });
        }
    }
    if (closing || points.size() + flushing > waiting_points_max) {
        return refuse(
            std::move(done), {Errc::busy, "ingress", "history is behind", "the sender tries again"}
        );
    }
    if (record.gateway != 0 && delivered.crowded(record.gateway, record.store)) {
        return refuse(
            std::move(done),
            {Errc::busy, "ingress", "too many gaps in what the gateway sent", "it fills the oldest first"}
        );
    }
    Bytes body;
    encode_record(record, body);
    auto seq = log->append(body);
    if (!seq)
        return refuse(std::move(done), std::move(seq).error());
    if (record.gateway != 0)
        delivered.note_pending(record.gateway, record.store, record.seq, *seq);
    auto durable = [this, at = *seq, record = std::move(record), done = std::move(done)](Result<void> result
                   ) mutable {
        if (record.gateway != 0)
            delivered.settle_pending(record.gateway, record.store, record.seq);
        if (!result) {
            ++stats.failed;
            env.log().error("ingest", "a report could not be stored", {{"cause", result.error().text()}});
            return done(std::move(result));
        }
        ++stats.stored;
        apply(record, at, owner->sink_);
        done({});
    };
    log->when_durable(*seq, std::move(durable));
}

void Ingest::State::begin_numbers(const IngressRecord& record) {
    if (!delivered.begin_run(record.gateway, record.store, record.run, record.seq))
        return;
    env.log().warn(
        "ingest",
        "a gateway lost the end of its buffer and numbers its messages again",
        {{"gateway", record.gateway}, {"store", record.store}, {"from", record.seq}}
    );
}

void Ingest::State::apply(const IngressRecord& record, store::Seq at, Ingest::Sink* sink) {
    applied = at;
    if (record.kind == RecordKind::run)
        begin_numbers(record);
    else if (record.gateway != 0)
        delivered.insert(record.gateway, record.store, record.seq, record.low);
    Device* device = registry.device(record.device);
    if (device != nullptr && record.kind == RecordKind::values)
        apply_values(*device, record, at, sink);
    if (device != nullptr && record.kind == RecordKind::event)
        apply_event(*device, record, at);
    if (worker == nullptr)
        return; // catching up: batches are written by catch_up()
    if (points.size() >= options.history_batch_max)
        return flush();
    if (!flush_timer.running())
        flush_timer.start(options.history_every, [this] { flush(); });
}

void Ingest::State::add_point(
    const Device& device, const IngressRecord& record, const IngressSample& sample, store::Seq at
) {
    store::HistoryPoint point;
    point.device = device.id;
    point.property = sample.property;
    point.time_ms = sample.time_ms;
    point.received_ms = record.received_ms;
    point.seq = at;
    point.replayed = record.replay || record.history;
    point.value = to_store(sample.value);
    points.push_back(std::move(point));
}

void Ingest::State::apply_values(
    Device& device, const IngressRecord& record, store::Seq at, Ingest::Sink* sink
) {
    std::vector<std::pair<PropertyId, thing::Value>> newest;
    for (const IngressSample& sample : record.samples) {
        add_point(device, record, sample, at);
        const bool is_current = current.take(
            device, sample.property, {sample.time_ms, record.received_ms, record.replay, record.history}
        );
        if (is_current)
            device.set_current(sample.property, sample.value, sample.time_ms);
        // A live one with an older time comes from a clock that was set back: it confirms a set all the same.
        if (is_current || !(record.replay || record.history))
            newest.emplace_back(sample.property, sample.value);
    }
    stats.values += record.samples.size();
    if (sink != nullptr)
        sink->on_values(device, newest);
    if (worker != nullptr && !record.history && feed.wanted(FeedType::property))
        publish_values(device, record);
}

void Ingest::State::publish_values(const Device& device, const IngressRecord& record) {
    // One message for the values of one time; most reports have but one.
    auto first = record.samples.begin();
    while (first != record.samples.end()) {
        Json values = Json::object();
        auto next = first;
        for (; next != record.samples.end() && next->time_ms == first->time_ms; ++next)
            values.set(
                device.product->properties[static_cast<std::size_t>(next->property)], next->value.to_json()
            );
        Json data = Json::object();
        data.set("productKey", device.product->product_key);
        data.set("deviceName", device.name);
        data.set("time", first->time_ms);
        data.set("received", record.received_ms);
        data.set("replayed", record.replay);
        data.set("values", std::move(values));
        feed.publish(FeedType::property, device.key().text(), data.text());
        first = next;
    }
}

void Ingest::State::apply_event(Device& device, const IngressRecord& record, store::Seq at) {
    for (const IngressSample& sample : record.samples) {
        add_point(device, record, sample, at);
        if (worker == nullptr || record.history)
            continue;
        Json data = Json::object();
        data.set("productKey", device.product->product_key);
        data.set("deviceName", device.name);
        const Json event = sample.value.to_json();
        data.set("identifier", event["identifier"]);
        data.set("time", sample.time_ms);
        data.set("output", event["output"]);
        feed.publish(FeedType::event, device.key().text(), data.text());
    }
}

Ingest::Ingest(std::unique_ptr<State> state) : state_(std::move(state)) {
    state_->owner = this;
}

Ingest::~Ingest() = default;

Result<std::unique_ptr<Ingest>>
Ingest::open(io::Env& env, Registry& registry, Feed& feed, IngestOptions options) {
    auto state = std::make_unique<State>(env, registry, feed, std::move(options));
    BRIM_TRY(state->open());
    return std::unique_ptr<Ingest>(new Ingest(std::move(state)));
}

Ingest::State::Offer
Ingest::State::make_offer(RecordKind kind, DeviceId device, std::optional<UplinkMark> mark, Done done) {
    ++stats.received;
    Offer offer;
    offer.record.kind = kind;
    offer.record.device = device;
    offer.record.received_ms = env.loop().clock().wall().ms;
    offer.done = std::move(done);
    if (mark) {
        offer.record.replay = mark->replay;
        offer.record.gateway = mark->gateway;
        offer.record.store = std::move(mark->store);
        offer.record.seq = mark->seq;
        offer.record.low = mark->low;
        offer.runs = std::move(mark->runs);
    }
    return offer;
}

void Ingest::report(
    Device& device,
    const std::vector<thing::Sample>& samples,
    std::optional<UplinkMark> mark,
    Done done,
    Telling telling
) {
    auto offer = state_->make_offer(RecordKind::values, device.id, std::move(mark), std::move(done));
    IngressRecord& record = offer.record;
    record.history = telling == Telling::history;
    record.samples.reserve(samples.size());
    for (const thing::Sample& sample : samples) {
        const PropertyId id = device.product->model_ids[static_cast<std::size_t>(sample.property)];
        record.samples.push_back({id, sample.time_ms, sample.value});
    }
    state_->submit(std::move(offer));
}

void Ingest::event(
    Device& device,
    std::string_view identifier,
    std::string_view output_json,
    std::int64_t time_ms,
    std::optional<UplinkMark> mark,
    Done done,
    Telling telling
) {
    auto offer = state_->make_offer(RecordKind::event, device.id, std::move(mark), std::move(done));
    IngressRecord& record = offer.record;
    record.history = telling == Telling::history;
    std::string text = R"({"identifier":)";
    json_append_string(text, identifier);
    text.append(R"(,"output":)").append(output_json).append("}");
    record.samples.push_back({event_column, time_ms, {thing::Value::Composite{std::move(text)}}});
    state_->submit(std::move(offer));
}

void Ingest::settle(UplinkMark mark, Done done) {
    const DeviceId gateway = mark.gateway;
    state_->submit(state_->make_offer(RecordKind::settle, gateway, std::move(mark), std::move(done)));
}

} // namespace brim::hub
