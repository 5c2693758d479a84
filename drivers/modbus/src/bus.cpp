#include "bus.h"

#include <charconv>
#include <set>

namespace brim::modbus {

namespace {

std::string key_of(const DeviceSettings& device) {
    return device.product_key + "/" + device.device_name;
}

/// The values stay alive behind what they lend.
std::vector<brim_value>
to_bus(const DeviceSettings& device, const std::vector<PointValue>& values, std::int64_t time_ms) {
    std::vector<brim_value> out;
    for (const PointValue& entry : values) {
        const char* name = device.points[entry.point].identifier.c_str();
        brim_value value{};
        if (const auto* whole = std::get_if<std::int64_t>(&entry.value))
            value = brim_int(name, *whole);
        else if (const auto* real = std::get_if<double>(&entry.value))
            value = brim_double(name, *real);
        else
            value = brim_text(name, std::get<std::string>(entry.value).c_str());
        out.push_back(brim_at(value, time_ms));
    }
    return out;
}

std::optional<std::size_t> find_point(const DeviceSettings& device, std::string_view identifier) {
    for (std::size_t index = 0; index < device.points.size(); ++index) {
        if (device.points[index].identifier == identifier)
            return index;
    }
    return std::nullopt;
}

} // namespace

Result<Value> value_to_write(const Point& point, const Json& json) {
    if (json.is_bool())
        return Value(std::int64_t{json.as_bool()});
    if (json.is_int())
        return Value(json.as_int());
    if (json.is_number())
        return Value(json.as_double());
    const std::string_view text = json.as_string();
    const RawType type = point.encoding.type;
    if (json.is_string() && (type == RawType::text || type == RawType::custom))
        return Value(std::string(text));
    std::int64_t whole = 0;
    double real = 0;
    const char* const end = text.data() + text.size();
    if (json.is_string() && !text.empty()) { // consoles send numbers as texts
        if (const auto read = std::from_chars(text.data(), end, whole);
            read.ec == std::errc{} && read.ptr == end)
            return Value(whole);
        if (const auto read = std::from_chars(text.data(), end, real);
            read.ec == std::errc{} && read.ptr == end)
            return Value(real);
    }
    return fail(
        Errc::invalid,
        "property \"" + point.identifier + "\"",
        "is no value to write",
        "send a number or a text"
    );
}

Bus::~Bus() {
    stop();
}

void Bus::stop() {
    while (!running_.empty())
        stop_channel(running_.begin()->first);
}

void Bus::configure(std::string_view json) {
    auto settings = read_settings(json);
    if (!settings) {
        log_.error(
            "modbus", "configuration is not readable, the old one stays", {{"cause", settings.error().text()}}
        );
        return;
    }
    for (const std::string& complaint : settings->complaints)
        log_.warn("modbus", "configuration", {{"problem", complaint}});
    std::map<std::string, ChannelSettings> wanted;
    for (ChannelSettings& channel : settings->channels) {
        const std::string id = channel.id;
        wanted.emplace(id, std::move(channel));
    }
    // Everything that goes, goes first: a device may have moved to another channel.
    std::vector<std::string> gone;
    for (const auto& [id, running] : running_) {
        const auto same = wanted.find(id);
        if (same == wanted.end() || same->second.signature != running.channel->settings().signature)
            gone.push_back(id);
        else
            wanted.erase(same);
    }
    for (const std::string& id : gone)
        stop_channel(id);
    for (auto& [id, channel] : wanted)
        start_channel(std::move(channel));
}

void Bus::start_channel(ChannelSettings settings) {
    const brim_device_callbacks callbacks{on_set, on_get, nullptr, nullptr};
    const std::string id = settings.id;
    Running& running = running_[id];
    for (std::size_t index = 0; index < settings.devices.size(); ++index) {
        const DeviceSettings& device = settings.devices[index];
        auto entry = std::make_unique<Entry>(Entry{this, nullptr, index, nullptr});
        const int code = brim_device_add(
            driver_,
            device.product_key.c_str(),
            device.device_name.c_str(),
            &callbacks,
            entry.get(),
            &entry->handle
        );
        if (code != BRIM_OK) {
            log_.error(
                "modbus", "cannot add device", {{"device", key_of(device)}, {"cause", brim_code_text(code)}}
            );
            continue;
        }
        brim_device_offline(entry->handle); // until it answers
        const std::lock_guard guard(lock_);
        handles_[key_of(device)] = entry->handle;
        running.entries.push_back(std::move(entry));
    }
    running.channel = std::make_unique<Channel>(std::move(settings), *this, log_);
    for (const auto& entry : running.entries)
        entry->channel = running.channel.get();
    log_.info("modbus", "channel started", {{"channel", id}, {"devices", running.entries.size()}});
}

void Bus::stop_channel(const std::string& id) {
    Running& running = running_.at(id);
    const std::vector<DeviceSettings> devices = running.channel->settings().devices;
    running.channel.reset(); // its thread is gone: nobody uses the handles any more
    for (const auto& entry : running.entries) {
        {
            const std::lock_guard guard(lock_);
            handles_.erase(key_of(devices[entry->index]));
        }
        brim_device_remove(entry->handle);
    }
    running_.erase(id);
}

void Bus::report(const DeviceSettings& device, const std::vector<PointValue>& values, std::int64_t time_ms) {
    const std::vector<brim_value> out = to_bus(device, values, time_ms);
    const std::lock_guard guard(lock_);
    const auto handle = handles_.find(key_of(device));
    if (handle == handles_.end())
        return;
    const int code = brim_report_async(handle->second, out.data(), out.size(), nullptr, nullptr);
    if (code == BRIM_OK)
        return;
    ++turned_away_;
    log_.warn(
        "modbus",
        "report turned away",
        {{"device", key_of(device)}, {"cause", brim_code_text(code)}, {"total", turned_away_}}
    );
}

void Bus::state(const DeviceSettings& device, bool online) {
    const std::lock_guard guard(lock_);
    const auto handle = handles_.find(key_of(device));
    if (handle == handles_.end())
        return;
    if (online)
        brim_device_online(handle->second);
    else
        brim_device_offline(handle->second);
}

void Bus::post(Entry& entry, Command command, brim_request* request) {
    command.device = entry.index;
    const Channel& channel = *entry.channel;
    const DeviceSettings& device = channel.settings().devices[entry.index];
    const bool answers_values = command.writes.empty();
    command.done = [request, &device, answers_values](int code, const std::vector<PointValue>& values) {
        const std::vector<brim_value> out =
            answers_values && code == BRIM_OK ? to_bus(device, values, 0) : std::vector<brim_value>{};
        brim_answer(request, code, out.data(), out.size());
    };
    if (!entry.channel->post(std::move(command)))
        brim_answer(request, 429, nullptr, 0);
}

void Bus::on_set(brim_device*, const char* params, brim_request* request, void* user) {
    Entry& entry = *static_cast<Entry*>(user);
    const DeviceSettings& device = entry.channel->settings().devices[entry.index];
    const auto json = Json::parse(params);
    Command command;
    int code = json && !json->members().empty() ? BRIM_OK : BRIM_E_PARAM;
    // All is checked before anything is written.
    for (const auto& [name, wanted] : json ? json->members() : Json::Object{}) {
        const auto index = find_point(device, name);
        if (!index) {
            code = BRIM_E_NO_PROPERTY;
            break;
        }
        const Point& point = device.points[*index];
        if (!point.writable) {
            code = BRIM_E_READ_ONLY;
            break;
        }
        const auto value = value_to_write(point, wanted);
        auto data =
            value ? encode(point.encoding, *value) : Result<std::vector<std::uint16_t>>(fail(value.error()));
        if (!data || data->size() > write_registers_max) {
            code = 460;
            break;
        }
        command.writes.push_back({point.area, point.address, *std::move(data), mask_of(point.encoding)});
        command.reads.push_back(*index);
    }
    if (code != BRIM_OK) {
        brim_answer(request, code, nullptr, 0);
        return;
    }
    command.writes = plan_writes(std::move(command.writes));
    post(entry, std::move(command), request);
}

void Bus::on_get(
    brim_device*, const char* const* identifiers, std::size_t count, brim_request* request, void* user
) {
    Entry& entry = *static_cast<Entry*>(user);
    const DeviceSettings& device = entry.channel->settings().devices[entry.index];
    std::set<std::size_t> points;
    for (std::size_t i = 0; i < count; ++i) {
        const auto index = find_point(device, identifiers[i]);
        if (!index) {
            brim_answer(request, BRIM_E_NO_PROPERTY, nullptr, 0);
            return;
        }
        points.insert(*index);
    }
    Command command;
    command.reads.assign(points.begin(), points.end());
    post(entry, std::move(command), request);
}

} // namespace brim::modbus
