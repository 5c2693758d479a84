#include "io/sim/sim_inode.h"

#include <algorithm>

namespace brim::io {

void SimInode::touch(std::uint64_t sector_number) {
    const std::uint64_t from = sector_number * sector;
    Bytes image = from < cache.size() ? cache.substr(from, sector) : Bytes{};
    image.resize(sector, '\0');
    auto& versions = dirty[sector_number];
    if (versions.size() == versions_max)
        versions.erase(versions.begin());
    versions.push_back(std::move(image));
}

void SimInode::write(std::uint64_t offset, ByteView bytes) {
    if (bytes.empty())
        return;
    const std::uint64_t end = offset + bytes.size();
    if (end > cache.size()) {
        cache.resize(end, '\0');
        sizes.push_back(end);
    }
    cache.replace(offset, bytes.size(), bytes);
    for (std::uint64_t number = offset / sector; number * sector < end; ++number)
        touch(number);
}

void SimInode::resize(std::uint64_t size) {
    if (size == cache.size())
        return;
    const bool shrinks = size < cache.size();
    cache.resize(size, '\0');
    sizes.push_back(size);
    if (!shrinks)
        return;
    // What is cut off must not come back when the file grows again; its sectors are no longer anybody's.
    dirty.erase(dirty.lower_bound((size + sector - 1) / sector), dirty.end());
    if (size % sector != 0)
        touch(size / sector);
}

void SimInode::adopt_size(std::size_t version_count) {
    // A file that was cut and grew again holds zeros in between, so the smallest size on the way counts.
    for (std::size_t i = 0; i < version_count; ++i)
        durable.resize(sizes[i], '\0');
}

void SimInode::store_sector(std::uint64_t number, ByteView image) {
    const std::uint64_t from = number * sector;
    if (from >= durable.size())
        return;
    const auto count = std::min<std::uint64_t>(sector, durable.size() - from);
    durable.replace(from, count, image.substr(0, count));
}

void SimInode::sync() {
    adopt_size(sizes.size());
    for (const auto& [number, versions] : dirty)
        store_sector(number, versions.back());
    dirty.clear();
    sizes.clear();
}

void SimInode::sync_failed(Random& random) {
    adopt_size(sizes.size());
    for (const auto& [number, versions] : dirty)
        if (random.below(2) == 0)
            store_sector(number, versions.back());
    dirty.clear();
    sizes.clear();
}

void SimInode::settle(CutMode mode, Random& random) {
    if (mode == CutMode::keep_all)
        sync();
    if (mode == CutMode::random) {
        adopt_size(random.below(sizes.size() + 1));
        for (const auto& [number, versions] : dirty) {
            const auto pick = random.below(versions.size() + 1);
            if (pick > 0)
                store_sector(number, versions[pick - 1]);
        }
    }
    dirty.clear();
    sizes.clear();
    cache = durable;
}

void SimInode::drop_clean_pages() {
    Bytes fresh = durable;
    fresh.resize(cache.size(), '\0');
    for (const auto& [number, versions] : dirty) {
        const std::uint64_t from = number * sector;
        if (from >= fresh.size())
            continue;
        const auto count = std::min<std::uint64_t>(sector, fresh.size() - from);
        fresh.replace(from, count, ByteView(versions.back()).substr(0, count));
    }
    cache = std::move(fresh);
}

} // namespace brim::io
