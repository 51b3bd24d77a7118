// SPDX-License-Identifier: GPL-2.0

/// What one run of fio on one device came to.
struct BenchSample: Sendable {
    let bytes: Int
    /// Milliseconds by the guest's clock.
    let runtime: Int
    /// Nanoseconds that the host's processors gave to the guest's, without what starting a job takes.
    let processorTime: Int

    /// Bytes per nanosecond of the guest's processors' time.
    var speed: Double { Double(bytes) / Double(max(processorTime, 1)) }
    /// MiB per second by the guest's clock.
    var bandwidth: Double { Double(bytes) / 1048.576 / Double(max(runtime, 1)) }
    /// Seconds of processor time for a GiB.
    var processorSecondsPerGiB: Double { 1.073741824 / speed }
}

/// Numbers that were measured several times.
struct BenchSpread: Sendable {
    let values: [Double]

    init(_ values: [Double]) {
        self.values = values.sorted()
    }

    /// The middle, or the mean of the two in the middle; NaN for nothing.
    var median: Double {
        guard !values.isEmpty else { return .nan }
        let half = values.count / 2
        return values.count % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2
    }

    /// The value below which a quarter lies.
    var low: Double { quantile(0.25) }
    /// The value above which a quarter lies.
    var high: Double { quantile(0.75) }

    /// Whether the median is nearer to a limit than half the width of the middle half, and may be on
    /// either side of it in another run.
    func isClose(to limit: Double) -> Bool {
        abs(median - limit) < (high - low) / 2
    }

    private func quantile(_ part: Double) -> Double {
        guard let last = values.indices.last else { return .nan }
        let place = part * Double(last)
        let below = Int(place)
        let above = min(below + 1, last)
        return values[below] + (values[above] - values[below]) * (place - Double(below))
    }
}

/// All samples of some lines, by round.
struct BenchTable: Sendable {
    private var samples: [BenchLine: [BenchDevice: [BenchSample]]] = [:]

    mutating func add(_ sample: BenchSample, of device: BenchDevice, on line: BenchLine) {
        samples[line, default: [:]][device, default: []].append(sample)
    }

    func samples(of device: BenchDevice, on line: BenchLine) -> [BenchSample] {
        samples[line]?[device] ?? []
    }

    /// One number of each round's sample.
    func spread(
        of device: BenchDevice, on line: BenchLine, _ number: (BenchSample) -> Double
    ) -> BenchSpread {
        BenchSpread(samples(of: device, on: line).map(number))
    }

    /// iopmem's speed by another's, round by round.
    func ratios(to other: BenchDevice, on line: BenchLine) -> BenchSpread {
        BenchSpread(
            zip(samples(of: .iopmem, on: line), samples(of: other, on: line)).map {
                $0.speed / $1.speed
            })
    }
}
