package repair

import "tsdb/partition/manifest"

// newestFooter returns the file whose footer repeats the state after the highest edit, nil
// if none tells the edit. A footer has a checksum of its own, so other damage of the file
// does not matter.
func (in *repairInput) newestFooter(seed uint64) *repairFile {
	var newest *repairFile
	for i := range in.files {
		f := &in.files[i]
		if f.repeated.Seed == seed && f.repeated.Edit > 0 && (newest == nil || f.repeated.Edit > newest.repeated.Edit) {
			newest = f
		}
	}
	return newest
}

// addRules sets the retention rules of a state to those of the newest footer, if that is
// newer than the intact records up to edit base, with the changes of the intact edits later
// than it. Older footers do not count: a list may have been dropped since, and samples
// written that it would hide.
func (r *rebuilding) addRules(s *manifest.State, base uint64, later []*manifest.Edit) {
	f := r.in.newestFooter(s.Seed)
	if f == nil || f.repeated.Edit <= base {
		return
	}
	lists, err := manifest.RepeatedRules(f.repeated)
	if err != nil {
		r.plan.say("%s: %v", f.Name, err)
	}
	if f.repeated.RulesLeftOut {
		r.plan.say("%s: there were more retention rules than its footer repeats", f.Name)
	}
	if (err != nil || f.repeated.RulesLeftOut) && len(s.RuleLists) > 0 {
		return // the intact records have all lists of an earlier time
	}
	rules := manifest.NewState(s.Seed, s.WallMs)
	rules.RuleLists = lists
	for _, e := range later {
		if e.Number > f.repeated.Edit {
			rules = rules.Apply(manifest.Edit{RuleLists: e.RuleLists, DropRules: e.DropRules})
		}
	}
	s.RuleLists = rules.RuleLists
	if n := len(s.RuleLists); n > 0 {
		r.plan.say("retention rules: %d lists, as of edit %d in the footer of %s or later; the next start records those of the configuration", n, f.repeated.Edit, f.Name)
	}
}
