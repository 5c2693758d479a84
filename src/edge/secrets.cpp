#include "edge/secrets.h"

#include "base/json.h"

#include <memory>
#include <utility>

namespace brim::edge {

Result<void> Secrets::load() {
    secrets_.clear();
    if (!disk_.exists(path_))
        return {};
    const auto text = io::read_file(disk_, path_, file_bytes_max);
    if (!text)
        return fail(text.error());
    const auto json = Json::parse(*text, {.bytes_max = file_bytes_max});
    if (!json || !(*json)["devices"].is_object()) {
        const std::string aside = path_ + ".quarantine";
        (void)disk_.rename(path_, aside);
        return fail(
            Errc::corrupt,
            path_,
            "is damaged; set aside as " + aside,
            "secrets will be asked of the hub again"
        );
    }
    for (const auto& [name, value] : (*json)["devices"].members()) {
        const auto key = thing::DeviceKey::parse(name);
        if (key && value.is_string())
            secrets_.insert_or_assign(*key, Secret(std::string(value.as_string())));
    }
    return {};
}

const Secret* Secrets::find(const thing::DeviceKey& device) const {
    const auto found = secrets_.find(device);
    return found == secrets_.end() ? nullptr : &found->second;
}

void Secrets::put(const thing::DeviceKey& device, Secret secret) {
    secrets_.insert_or_assign(device, std::move(secret));
    dirty_ = true;
}

void Secrets::forget(const thing::DeviceKey& device) {
    dirty_ = secrets_.erase(device) > 0 || dirty_;
}

void Secrets::save(io::Worker& worker, std::move_only_function<void(Result<void>)> done) {
    if (!std::exchange(dirty_, false))
        return;
    Json::Object devices;
    for (const auto& [key, secret] : secrets_)
        devices.emplace_back(key.text(), secret.reveal());
    auto text = Json::object({{"version", 1}, {"devices", std::move(devices)}}).text(true);
    // Shared by the job and its end, which run one after the other.
    auto outcome = std::make_shared<Result<void>>();
    worker.run(
        [this, outcome, text = std::move(text)] { *outcome = io::write_file_atomically(disk_, path_, text); },
        [outcome, done = std::move(done)]() mutable { done(std::move(*outcome)); }
    );
}

} // namespace brim::edge
