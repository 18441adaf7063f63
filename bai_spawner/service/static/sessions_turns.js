// One at a time: what is asked for while an answer is on its way is asked for once, after it.

/** A function that does `work`, and resolves to what came of it; `work` never rejects. */
export const oneAtATime = (work) => {
  let running = null;
  let next = null;
  const start = () => {
    running = work().finally(() => { running = null; });
    return running;
  };
  const afterThis = async () => {
    await running;
    next = null;
    return start();
  };
  return () => {
    if (!running) return start();
    next ??= afterThis();
    return next;
  };
};
