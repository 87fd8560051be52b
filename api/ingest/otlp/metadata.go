package otlp

import "tsdb/api/ingest/door"

// addMetadata adds the metadata of the current metric, which have an entry, to the batch,
// unless they are those stored last or already in it.
func (d *decoder) addMetadata(b *door.Batch, entry door.MetadataEntry) {
	if !d.isNew(entry) {
		return
	}
	m := &d.metrics[len(d.metrics)-1]
	if !m.derived {
		m.derived = true
		m.family, m.fault = d.metricName(m)
	}
	if m.fault == nil {
		unit := d.rules.unit.Build(door.ValidPrefix(m.unit))
		b.Metadata(m.family, door.NewMetadata(m.kind.metadataType(), []byte(unit), m.description))
	}
}

// addTargetMetadata adds the metadata of target_info.
func (d *decoder) addTargetMetadata(b *door.Batch) {
	if d.isNew(door.MetadataEntry{Slot: b.Seed, Sum: b.Seed}) {
		b.Metadata(targetName, door.NewMetadata(kindGauge.metadataType(), nil, []byte("Target metadata")))
	}
}

// isNew reports whether metadata are neither stored nor in the batch, and notes them.
func (d *decoder) isNew(entry door.MetadataEntry) bool {
	recent := &d.recent[entry.Slot%uint64(len(d.recent))]
	if *recent == entry.Sum || d.rules.metadata.Has(entry) {
		return false
	}
	*recent = entry.Sum
	d.unconfirmed = append(d.unconfirmed, entry)
	return true
}
