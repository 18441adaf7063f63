// The user's templates and last launch, as the service keeps them.

const path = (name) => `api/templates/${encodeURIComponent(name)}`;

/**
 * What is kept, asked for now and after every change. Nothing is changed here that the service
 * did not change first; what it throws is the caller's to tell.
 */
export const kept = async (service) => {
  let found;
  const ask = async () => {
    found = await service.get("api/templates");
  };
  await ask();
  return {
    last: () => found.last,
    templates: () => found.templates,
    save: async (name, fields, replace = false) => {
      await service.put(path(name), { fields, replace });
      await ask();
    },
    rename: async (template, name) => {
      if (name === template.name) return;
      await service.patch(path(template.name), { name });
      await ask();
    },
    remove: async (template) => {
      await service.remove(path(template.name));
      await ask();
    },
  };
};
