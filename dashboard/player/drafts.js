// Unsent work, kept through a reload: of the pair on the screen, and of the one that an undo interrupted.

const MOST = 3;

export class Drafts {
  constructor(owner) {
    this.place = `rating:draft:${owner}`;
  }

  all() {
    try {
      return JSON.parse(localStorage.getItem(this.place) ?? "{}") ?? {};
    } catch {
      return {};
    }
  }

  of(assignment) {
    return this.all()[assignment] ?? {};
  }

  keep(assignment, draft) {
    const { [assignment]: _, ...others } = this.all();
    this.store({ ...others, [assignment]: draft });
  }

  drop(assignment) {
    const { [assignment]: _, ...others } = this.all();
    this.store(others);
  }

  store(drafts) {
    localStorage.setItem(this.place, JSON.stringify(Object.fromEntries(Object.entries(drafts).slice(-MOST))));
  }
}
