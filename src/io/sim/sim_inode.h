#pragma once
// One file of the simulated disk: its two images and what lies between them. Private to sim/.

#include "base/bytes.h"
#include "base/random.h"
#include "io/sim/sim_disk.h"

#include <cstdint>
#include <map>
#include <vector>

namespace brim::io {

struct SimInode {
    static constexpr std::uint64_t sector = SimDisk::sector_bytes;
    /// Versions of one sector remembered between syncs; enough to show that an older one may be the survivor.
    static constexpr std::size_t versions_max = 4;

    Bytes cache;
    Bytes durable;
    std::map<std::uint64_t, std::vector<Bytes>>
        dirty;                        ///< sector number -> successive images since the last sync
    std::vector<std::uint64_t> sizes; ///< successive sizes since the last sync

    void write(std::uint64_t offset, ByteView bytes);
    void resize(std::uint64_t size);
    /// Everything dirty reaches the medium.
    void sync();
    /// The kernel gave up on the dirty pages: a random part reached the medium, and all count as clean.
    void sync_failed(Random& random);
    /// Power is gone: decides what the medium holds, and forgets the cache.
    void settle(CutMode mode, Random& random);
    void drop_clean_pages();

private:
    void touch(std::uint64_t sector_number);
    void adopt_size(std::size_t version_count);
    void store_sector(std::uint64_t number, ByteView image);
};

} // namespace brim::io
