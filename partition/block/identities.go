package block

// SharedIdentities holds the identities of the series of blocks that are written side by
// side and mostly have the same series, such as those of the tiers of a day: once for
// all of them. The zero value is ready. It is not safe for concurrent use.
type SharedIdentities struct {
	all slabs
	n   uint64 // series
}

func (s *SharedIdentities) add(id []byte) {
	s.all.append(id)
	s.n++
}

// identityList holds the identities of the series of one block: the first n of shared.
type identityList struct {
	shared *SharedIdentities
	n      uint64
	slab   int // of shared, that has the next identity
	off    int // of the next identity in slab
}

// add appends an identity. A block with another series than shared has a list of its own
// from then on.
func (l *identityList) add(id []byte) {
	if l.shared == nil {
		l.shared = new(SharedIdentities)
	}
	if l.n < l.shared.n && string(l.next()) != string(id) {
		own := new(SharedIdentities)
		l.each(func(ids []byte) { own.all.append(ids) })
		own.n, l.shared = l.n, own
	}
	if l.n == l.shared.n {
		l.shared.add(id)
		l.slab = len(l.shared.all) - 1
		l.off = len(l.shared.all[l.slab]) - identityBytes
	}
	l.off += identityBytes
	l.n++
}

// next returns the identity after the first n.
func (l *identityList) next() []byte {
	if l.off == len(l.shared.all[l.slab]) {
		l.slab, l.off = l.slab+1, 0
	}
	return l.shared.all[l.slab][l.off:][:identityBytes]
}

// each calls fn with the bytes of all identities, slab by slab.
func (l *identityList) each(fn func(ids []byte)) {
	left := l.n * identityBytes
	for i := 0; left > 0; i++ {
		ids := l.shared.all[i]
		ids = ids[:min(uint64(len(ids)), left)]
		fn(ids)
		left -= uint64(len(ids))
	}
}
