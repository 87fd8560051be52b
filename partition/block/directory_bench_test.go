package block

import (
	"fmt"
	"testing"
)

// BenchmarkDirectoryPage decodes a full page of chunks that share a few hundred
// time columns, with and without aggregates.
func BenchmarkDirectoryPage(b *testing.B) {
	for _, aggregates := range []bool{false, true} {
		b.Run(fmt.Sprintf("aggregates=%t", aggregates), func(b *testing.B) {
			var d directoryPage
			off := int64(HeaderLen)
			for i := range uint32(200) {
				d.frames[streamTimes] = append(d.frames[streamTimes], frame{off: off, stored: 1000 + i, crc: i * 0x9e3779b9})
				d.times = append(d.times, timeColumn{columnRef: columnRef{frame: i, length: 1000 + i}, count: 1440, min: int64(i) * 31, max: int64(i)*31 + 21_600_000})
				off += int64(1000 + i)
			}
			for i := range uint32(pageRows) {
				n := 300 + i*7919%1000
				d.frames[streamValues] = append(d.frames[streamValues], frame{off: off, stored: n, crc: i * 0x85ebca6b})
				off += int64(n)
				w := row{ord: i, time: i % 200, value: columnRef{frame: i, length: n}}
				if aggregates {
					w.flags, w.aggregate = rowAggregate, i
					d.aggregates.add(Aggregate{Min: float64(i), Max: float64(i) * 100, Sum: float64(i) * 1440 / 4, Comp: 1e-9 * float64(i)})
				}
				d.rows = append(d.rows, w)
			}
			content := d.append(nil)
			b.ReportAllocs()
			for b.Loop() {
				var d directoryPage
				if err := d.decode(content, off, blockVersion); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pageRows, "ns/chunk")
		})
	}
}
