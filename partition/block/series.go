package block

import (
	"encoding/binary"
	"math"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

const (
	seriesPageRows   = 256 // series in a page of the series table
	identityPageRows = 256 // identities between two checksums
	identityBytes    = 16
	identityStride   = identityPageRows*identityBytes + 4
)

// seriesEntry is one row of the series table: the numbers of the names, ascending,
// and of the values in their dictionaries.
type seriesEntry struct {
	names  []uint32
	values []uint32
}

// seriesPage is a page of the series table: the series of consecutive ordinals.
type seriesPage struct {
	shapes [][]uint32 // the sets of names that occur
	shape  []uint32   // of every series
	start  []uint32   // of every series: index of its first value
	values []uint32
}

func (p *seriesPage) at(i int) seriesEntry {
	names := p.shapes[p.shape[i]]
	return seriesEntry{names: names, values: p.values[p.start[i]:][:len(names)]}
}

// add appends a series. names and values are copied.
func (p *seriesPage) add(names, values []uint32) {
	shape := -1
	for i := len(p.shapes) - 1; i >= 0; i-- {
		if equalNumbers(p.shapes[i], names) {
			shape = i
			break
		}
	}
	if shape < 0 {
		shape = len(p.shapes)
		p.shapes = append(p.shapes, append([]uint32(nil), names...))
	}
	p.shape = append(p.shape, uint32(shape))
	p.start = append(p.start, uint32(len(p.values)))
	p.values = append(p.values, values...)
}

func (p *seriesPage) reset() {
	p.shapes, p.shape, p.start, p.values = p.shapes[:0], p.shape[:0], p.start[:0], p.values[:0]
}

// append appends the page: the shapes, the shape of every series, then for every
// shape and name the values, each as the difference from the previous one, so that
// values that series have in common are runs of zeros.
func (p *seriesPage) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.shape)))
	dst = binary.AppendUvarint(dst, uint64(len(p.shapes)))
	for _, names := range p.shapes {
		dst = binary.AppendUvarint(dst, uint64(len(names)))
		last := uint32(0)
		for _, n := range names {
			dst = binary.AppendUvarint(dst, uint64(n-last))
			last = n
		}
	}
	for _, s := range p.shape {
		dst = binary.AppendUvarint(dst, uint64(s))
	}
	members := p.members()
	for s, names := range p.shapes {
		for k := range names {
			last := uint32(0)
			for _, at := range members[s] {
				v := p.values[int(at)+k]
				dst = binary.AppendVarint(dst, int64(v)-int64(last))
				last = v
			}
		}
	}
	return dst
}

// members returns, for every shape, the start of each of its series.
func (p *seriesPage) members() [][]uint32 {
	next := make([]int, len(p.shapes)+1) // where those of a shape begin
	for _, s := range p.shape {
		next[s+1]++
	}
	for s := range p.shapes {
		next[s+1] += next[s]
	}
	all := make([]uint32, len(p.shape))
	m := make([][]uint32, len(p.shapes))
	for s := range m {
		m[s] = all[next[s]:next[s]:next[s+1]]
	}
	for i, s := range p.shape {
		m[s] = append(m[s], p.start[i])
	}
	return m
}

// decodeSeriesPage reads a page of the series table of a block with these
// names.
func decodeSeriesPage(b []byte, names []nameEntry) (*seriesPage, error) {
	r := format.Reader{B: b}
	p := &seriesPage{}
	n, shapes := r.Count(), r.Count()
	if n > seriesPageRows || shapes > n || shapes == 0 && n > 0 {
		r.Fail("too many series, or no shapes")
		n, shapes = 0, 0
	}
	p.shapes = make([][]uint32, 0, shapes)
	for range shapes {
		p.shapes = append(p.shapes, readShape(&r, names))
	}
	p.shape = make([]uint32, n)
	p.start = make([]uint32, n)
	total := 0
	var buf [format.NumberBatch]uint64
	for from := 0; from < n && r.Err == nil; from += format.NumberBatch {
		to := min(n, from+format.NumberBatch)
		for i, s := range r.Uvarints(buf[:to-from], uint64(shapes-1)) {
			p.shape[from+i] = uint32(s)
			p.start[from+i] = uint32(total)
			total += len(p.shapes[s])
		}
	}
	if total > len(r.B) {
		r.Fail("short of values")
	}
	if r.Err != nil {
		return nil, r.End("series page")
	}
	p.values = make([]uint32, total)
	members := p.members()
	for s, shape := range p.shapes {
		for k, name := range shape {
			p.readColumn(&r, members[s], k, int64(names[name].values))
		}
	}
	return p, r.End("series page")
}

// readColumn reads value number k of the series that have one shape: see
// members. Values are below limit.
func (p *seriesPage) readColumn(r *format.Reader, members []uint32, k int, limit int64) {
	var buf [format.NumberBatch]uint64
	last := int64(0)
	for part := range slices.Chunk(members, format.NumberBatch) {
		for i, v := range r.Uvarints(buf[:len(part)], math.MaxUint64) {
			last += format.Unzigzag(v)
			if uint64(last) >= uint64(limit) {
				r.Fail("value out of range")
				return
			}
			p.values[int(part[i])+k] = uint32(last)
		}
	}
}

func readShape(r *format.Reader, names []nameEntry) []uint32 {
	shape := make([]uint32, r.Count())
	at := uint64(0)
	for k := range shape {
		gap := r.Uvarint(math.MaxUint32)
		at += gap
		if at >= uint64(len(names)) || k > 0 && gap == 0 {
			r.Fail("name out of range")
			return nil
		}
		shape[k] = uint32(at)
	}
	return shape
}

func equalNumbers(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// appendIdentity appends the 16 bytes of an identity.
func appendIdentity(dst []byte, id model.Identity) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, id.Hi)
	return binary.LittleEndian.AppendUint64(dst, id.Lo)
}

// appendIdentityPage appends a page of identities and its checksum.
func appendIdentityPage(dst, ids []byte) []byte {
	n := len(dst)
	dst = append(dst, ids...)
	return binary.LittleEndian.AppendUint32(dst, encoding.Checksum(dst[n:]))
}

// decodeIdentities reads a page of identities.
func decodeIdentities(b []byte) ([]model.Identity, error) {
	n := (len(b) - 4) / identityBytes
	if n < 1 || n > identityPageRows || len(b) != n*identityBytes+4 {
		return nil, format.Corrupt("identities in %d bytes", len(b))
	}
	if encoding.Checksum(b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, format.Corrupt("checksum of identities")
	}
	ids := make([]model.Identity, n)
	for i := range ids {
		ids[i].Hi = binary.LittleEndian.Uint64(b[i*identityBytes:])
		ids[i].Lo = binary.LittleEndian.Uint64(b[i*identityBytes+8:])
	}
	return ids, nil
}

// identityRange returns the offset, within the section of identities, and the
// length of the page with ordinal ord, and the first ordinal of that page. series
// is the number of series of the block.
func identityRange(ord uint32, series uint64) (off int64, length int, first uint32) {
	p := ord / identityPageRows
	first = p * identityPageRows
	n := min(identityPageRows, series-uint64(first))
	return int64(p) * identityStride, int(n)*identityBytes + 4, first
}

// identitiesLen returns the length of the section of identities.
func identitiesLen(series uint64) int64 {
	pages := (series + identityPageRows - 1) / identityPageRows
	return int64(series)*identityBytes + int64(pages)*4
}

// tenantRange is the run of ordinals of one tenant.
type tenantRange struct {
	tenant uint32
	from   uint32 // first ordinal; it ends where the next tenant begins
}

func appendTenants(dst []byte, ts []tenantRange) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ts)))
	var last tenantRange
	for _, t := range ts {
		dst = binary.AppendUvarint(dst, uint64(t.tenant-last.tenant))
		dst = binary.AppendUvarint(dst, uint64(t.from-last.from))
		last = t
	}
	return dst
}

func decodeTenants(b []byte, series uint64) ([]tenantRange, error) {
	r := format.Reader{B: b}
	n := r.Count()
	ts := make([]tenantRange, 0, min(n, 1<<10))
	var tenant, from uint64
	for i := range n {
		dt, df := r.Uvarint(math.MaxUint32), r.Uvarint(math.MaxUint32)
		tenant, from = tenant+dt, from+df
		if r.Err == nil && (tenant > math.MaxUint32 || from >= series || i > 0 && (dt == 0 || df == 0) || i == 0 && from != 0) {
			r.Fail("tenant out of range")
		}
		if r.Err != nil {
			break
		}
		ts = append(ts, tenantRange{uint32(tenant), uint32(from)})
	}
	return ts, r.End("tenants")
}
