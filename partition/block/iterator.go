package block

import (
	"errors"
	"fmt"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// scanBytes is the size of one read of a scan, per stream.
const scanBytes = 256 << 10

// Iterator iterates over the series of a block in order, for merges: it reads
// ahead, bypasses the cache for directory and columns, and uses memory that does
// not grow with the block. It is not safe for concurrent use.
type Iterator struct {
	block  *Block
	labels labelReader
	reader chunkReader
	pages  []page
	next   int            // number of the page after the current one
	page   *directoryPage // the current one
	off    int64          // its offset
	row    int            // next row in it
	ord    uint32
	series uint32 // ordinal of the next series
	chunks []Chunk
	entry  SeriesEntry
	known  bool  // entry is that of the current series
	lost   error // damage that costs chunks of the current series
	err    error
}

// Iterate returns an iterator positioned before the first series.
func (b *Block) Iterate() *Iterator {
	it := &Iterator{block: b}
	it.labels.block = b
	it.reader = chunkReader{block: b, ahead: scanBytes}
	it.pages, it.err = b.fencesOf(&b.directory, sectionDirectory)
	return it
}

// Next advances to the next series. It returns false at the end and after an
// error, which Err returns.
func (it *Iterator) Next() bool {
	if it.err != nil || uint64(it.series) >= it.block.foot.series {
		return false
	}
	it.ord, it.known = it.series, false
	it.series++
	it.err = it.readChunks()
	return it.err == nil
}

// readChunks collects the chunks of the current series.
func (it *Iterator) readChunks() error {
	it.chunks, it.lost = it.chunks[:0], nil
	for {
		if it.page == nil || it.row == len(it.page.rows) {
			if it.next == len(it.pages) || it.pages[it.next].first > it.ord {
				return nil
			}
			if err := it.nextPage(); err != nil {
				if !errors.Is(err, format.ErrCorrupt) {
					return err
				}
				it.lost = firstDamage(it.lost, err)
				continue
			}
		}
		if it.page.rows[it.row].ord > it.ord {
			return nil
		}
		if it.page.rows[it.row].ord < it.ord {
			return it.block.damage(it.off, format.Corrupt("chunk of series %d behind series %d", it.page.rows[it.row].ord, it.ord))
		}
		it.chunks = append(it.chunks, newChunk(&it.reader, it.page, it.off, it.row))
		it.row++
	}
}

func (it *Iterator) nextPage() error {
	p := it.pages[it.next]
	it.next++
	it.page, it.row, it.off = nil, 0, p.off
	data, err := it.block.readPage(p)
	if err != nil {
		return err
	}
	d, err := it.block.decodeDirectoryPage(p, data)
	if err != nil {
		return it.block.damage(p.off, err)
	}
	it.page = d
	return nil
}

// Err returns the error that ended the iteration early, if any.
func (it *Iterator) Err() error { return it.err }

// Ordinal returns the ordinal of the current series.
func (it *Iterator) Ordinal() uint32 { return it.ord }

// Series returns the current series. The first call builds its labels.
func (it *Iterator) Series() (SeriesEntry, error) {
	if it.known {
		return it.entry, nil
	}
	e, err := it.labels.entry(it.ord)
	it.entry, it.known = e, err == nil
	return e, err
}

// Metric returns the tenant and the metric name of the current series, without building
// its labels.
func (it *Iterator) Metric() (tenant uint32, metric string, err error) {
	if tenant, err = it.block.tenantOf(it.ord); err == nil {
		metric, err = it.labels.metric(it.ord)
	}
	return tenant, metric, err
}

// IsSeries reports whether e is the current series, without building labels.
func (it *Iterator) IsSeries(e SeriesEntry) (bool, error) { return it.labels.is(it.ord, e) }

// Chunks returns the chunks of the current series, ordered by window and kind;
// they are valid until Next. A *DamageError means that a page of the directory is
// lost, and chunks of the series may be missing.
func (it *Iterator) Chunks() ([]Chunk, error) { return it.chunks, it.lost }

// Samples appends the samples of one chunk that lie in tr to dst. A *DamageError
// means that the chunk is lost; dst is then as before.
func (it *Iterator) Samples(c Chunk, tr model.TimeRange, dst *model.ColumnSet) error {
	if c.from != &it.reader {
		return fmt.Errorf("block %s: chunk of another scan", it.block.info.Name)
	}
	return it.reader.append(c, tr, dst)
}

// Exemplars returns the exemplars of the current series.
func (it *Iterator) Exemplars() ([]model.Exemplar, error) { return it.block.Exemplars(it.ord) }
